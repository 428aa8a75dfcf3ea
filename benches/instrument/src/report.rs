//! Figures of one or more systems under the same load: a table for people, JSON and CSV for programs.

use serde_json::{Value, json};

use crate::host::Host;
use crate::latencies::{Latencies, QUANTILES};
use crate::tally::Counts;

/// One number with its unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What a program calls it, with its unit, such as `p50_us`.
    pub key: String,
    /// What people call it, such as `p50`.
    pub label: String,
    /// Such as `µs`; empty for a count.
    pub unit: &'static str,
    /// The number; `None` where it does not apply or could not be measured.
    pub value: Option<f64>,
}

impl Figure {
    /// A figure that was measured.
    pub fn new(key: impl Into<String>, label: impl Into<String>, unit: &'static str, value: f64) -> Self {
        let value = Some(value).filter(|value| value.is_finite());
        Self { key: key.into(), label: label.into(), unit, value }
    }
}

/// [`QUANTILES`] of latencies, in microseconds. `key` and `label` stand before each, such as `last_` and `last `.
pub fn percentiles(all: &Latencies, key: &str, label: &str) -> Vec<Figure> {
    let figure = |(q, name, name_key)| {
        let mut figure =
            Figure::new(format!("{key}{name_key}"), format!("{label}{name}"), "µs", all.quantile_us(q));
        figure.value = figure.value.filter(|_| !all.is_empty());
        figure
    };
    QUANTILES.map(figure).into()
}

/// The counts of a tally; a zero is a figure, too.
pub fn counts(counts: &Counts) -> Vec<Figure> {
    let Counts { received, lost, doubled, reordered } = *counts;
    [("delivered", received), ("lost", lost), ("doubled", doubled), ("reordered", reordered)]
        .map(|(name, count)| Figure::new(name, name, "", count as f64))
        .into()
}

/// What one system did under one load.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Its name, such as `talkie`.
    pub system: String,
    /// What differs between the rows of a report besides the system, such as `("bytes", 64)`.
    pub load: Vec<(&'static str, Value)>,
    /// What was measured, in the order of the table.
    pub figures: Vec<Figure>,
}

/// A measurement.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Such as `fanout`; also the name of the files.
    pub workload: String,
    /// One line for people: what was measured and how.
    pub title: String,
    /// What holds for all rows, such as `("subscribers", 4)`.
    pub settings: Vec<(&'static str, Value)>,
    /// The machine.
    pub host: Host,
    /// What spoils the figures.
    pub warnings: Vec<String>,
    /// A row each.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// One JSON object a row, as a text without a line feed: `{"event":"bench","workload":…,"system":…}`, then the settings,
    /// the load, each figure under its key (`null` where there is none), `warnings` and `host`, in this order.
    pub fn json_lines(&self) -> Vec<String> {
        self.outcomes.iter().map(|outcome| object(&self.fields(outcome))).collect()
    }

    fn fields(&self, outcome: &Outcome) -> Vec<(String, Value)> {
        let mut fields = vec![
            ("event".to_owned(), json!("bench")),
            ("workload".to_owned(), json!(self.workload)),
            ("system".to_owned(), json!(outcome.system)),
        ];
        let load = self.settings.iter().chain(&outcome.load);
        fields.extend(load.map(|(key, value)| ((*key).to_owned(), value.clone())));
        fields.extend(outcome.figures.iter().map(|figure| (figure.key.clone(), number(figure.value))));
        fields.extend([("warnings".to_owned(), json!(self.warnings)), ("host".to_owned(), json!(self.host))]);
        fields
    }

    /// One object with everything, for a file: `workload`, `title`, and `results`, the lines of
    /// [`json_lines`](Self::json_lines).
    pub fn json(&self) -> String {
        let (workload, title) = (json!(self.workload), json!(self.title));
        let results = self.json_lines().join(",\n    ");
        format!(
            "{{\n  \"workload\": {workload},\n  \"title\": {title},\n  \"results\": [\n    {results}\n  ]\n}}\n"
        )
    }

    /// A heading and a row for each outcome; settings and load first.
    ///
    /// # Errors
    /// None in practice: it writes into memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut out = csv::Writer::from_writer(Vec::new());
        let columns = self.columns();
        let (settings, load) = (self.settings.iter().map(|(key, _)| *key), self.load_keys());
        let heads = ["workload", "system"].into_iter().chain(settings).chain(load.iter().copied());
        out.write_record(heads.chain(columns.iter().map(|column| column.key.as_str())))?;
        for outcome in &self.outcomes {
            let mut row = vec![self.workload.clone(), outcome.system.clone()];
            row.extend(self.settings.iter().map(|(_, value)| plain(value)));
            row.extend(load.iter().map(|key| outcome.load(key).map(plain).unwrap_or_default()));
            row.extend(columns.iter().map(|column| match outcome.figure(&column.key) {
                Some(Figure { value: Some(value), .. }) => plain(&number(Some(*value))),
                _ => String::new(),
            }));
            out.write_record(row)?;
        }
        let bytes = out.into_inner().map_err(|error| error.into_error())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A table for people: a column for each row of the report where there are few, the figures below each other.
    pub fn table(&self) -> String {
        let columns = self.columns();
        let keys = self.load_keys();
        let mut heads: Vec<String> = self.outcomes.iter().map(|outcome| outcome.system.clone()).collect();
        if self.outcomes.iter().all(|outcome| outcome.system == heads.first().map_or("", String::as_str)) {
            heads.iter_mut().skip(1).for_each(String::clear);
        }
        heads.insert(0, String::new());
        let mut rows = vec![heads];
        for key in &keys {
            let mut row = vec![(*key).to_owned()];
            row.extend(self.outcomes.iter().map(|one| one.load(key).map(plain).unwrap_or_default()));
            rows.push(row);
        }
        for column in &columns {
            let unit = if column.unit.is_empty() { String::new() } else { format!(", {}", column.unit) };
            let mut row = vec![format!("{}{unit}", column.label)];
            row.extend(self.outcomes.iter().map(|one| match one.figure(&column.key) {
                Some(Figure { value: Some(value), .. }) => shown(*value),
                _ => "-".to_owned(),
            }));
            rows.push(row);
        }
        aligned(&rows)
    }

    /// Each figure that any outcome has, in order of appearance.
    fn columns(&self) -> Vec<&Figure> {
        let mut columns: Vec<&Figure> = Vec::new();
        for figure in self.outcomes.iter().flat_map(|outcome| &outcome.figures) {
            if !columns.iter().any(|column| column.key == figure.key) {
                columns.push(figure);
            }
        }
        columns
    }

    fn load_keys(&self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        for (key, _) in self.outcomes.iter().flat_map(|outcome| &outcome.load) {
            if !keys.contains(key) {
                keys.push(*key);
            }
        }
        keys
    }
}

impl Outcome {
    /// The figure of this key.
    pub fn figure(&self, key: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.key == key)
    }

    fn load(&self, key: &str) -> Option<&Value> {
        self.load.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

/// An object whose fields stay in this order.
fn object(fields: &[(String, Value)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{}:{value}", json!(key))).collect();
    format!("{{{}}}", fields.join(","))
}

/// A number as programs like it: whole ones without a point, others to a thousandth.
fn number(value: Option<f64>) -> Value {
    match value {
        None => Value::Null,
        Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => json!(value as i64),
        Some(value) => json!((value * 1e3).round() / 1e3),
    }
}

/// A text without its quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A number as people like it: three or four digits that count, groups of three before the point.
pub fn shown(value: f64) -> String {
    let digits = match value.abs() {
        _ if value.fract() == 0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) =
        text.split_once('.').map_or((text.as_str(), String::new()), |(a, b)| (a, format!(".{b}")));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

/// The first column to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let width = width(at);
            line += &if at == 0 { format!("{cell:width$}") } else { format!("  {cell:>width$}") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
