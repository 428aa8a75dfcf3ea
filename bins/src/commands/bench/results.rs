//! What a measurement comes to: printed, and saved.

use std::path::Path;

use talkie_instrument::{BarChart, Figure, Host, Latencies, Load, Picture, Report, shown};

use crate::args::{Form, Keep};
use crate::exit::Failure;
use crate::output::Output;

/// A finished measurement.
pub(super) struct Results {
    pub(super) report: Report,
    /// What is written as histograms, by name.
    pub(super) histograms: Vec<(String, Latencies)>,
    pub(super) picture: Picture,
}

impl Results {
    /// Prints and saves it.
    pub(super) fn publish(mut self, mut output: Output, keep: &Keep) -> Result<(), Failure> {
        for warning in &self.report.warnings {
            tracing::warn!("{warning}");
        }
        self.picture.title.clone_from(&self.report.title);
        let notes = self.report.warnings.iter().map(|warning| format!("Warning: {warning}."));
        self.picture.notes.splice(..0, notes);
        if output.json() {
            for line in self.report.json_lines() {
                output.print_line(&line)?;
            }
        } else if keep.form == Form::Csv {
            output.remark(self.csv()?.trim_end())?;
        } else {
            let Report { title, host, .. } = &self.report;
            output.remark(&format!("{title}\n{}\n\n{}", host.words(), self.report.table().trim_end()))?;
        }
        let Some(folder) = &keep.folder else { return Ok(()) };
        let histograms: Vec<(&str, &Latencies)> =
            self.histograms.iter().map(|(name, all)| (name.as_str(), all)).collect();
        let saved = self.report.save(folder, &histograms, Some(&self.picture));
        let saved = saved.map_err(|error| Failure::Failed(error.to_string()))?;
        if keep.form == Form::Table {
            let names: Vec<_> = saved.0.iter().filter_map(|path| path.file_name()).collect();
            let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
            output.remark(&format!("\nsaved in {}: {}", folder.display(), names.join(", ")))?;
        }
        Ok(())
    }

    fn csv(&self) -> Result<String, Failure> {
        self.report.csv().map_err(|error| Failure::Failed(error.to_string()))
    }
}

/// Makes the folder, or says why it cannot be written.
pub(super) fn prepare(keep: &Keep) -> Result<(), Failure> {
    let Some(folder) = &keep.folder else { return Ok(()) };
    let probe = |folder: &Path| {
        std::fs::create_dir_all(folder)?;
        let probe = folder.join(".talkie-bench");
        std::fs::write(&probe, "")?;
        std::fs::remove_file(probe)
    };
    probe(folder)
        .map_err(|error| Failure::Failed(format!("cannot write to --save {}: {error}", folder.display())))
}

/// The machine and what spoils figures on it, looked at before something is measured.
pub(super) struct Conditions {
    host: Host,
    warnings: Vec<String>,
    load: Load,
}

impl Conditions {
    /// Looks at the machine, for so many processes that will be busy.
    pub(super) async fn look(processes: usize) -> Self {
        let look = move || {
            let host = Host::look();
            let warnings = host.warnings(processes);
            Self { host, warnings, load: Load::now() }
        };
        // It sleeps; and where the thread cannot be had, there is nothing to tell.
        let nothing = |_| Self { host: Host::default(), warnings: Vec::new(), load: Load::now() };
        tokio::task::spawn_blocking(look).await.unwrap_or_else(nothing)
    }

    /// A report that is empty so far.
    pub(super) fn report(self, workload: &str, title: String) -> Report {
        let Self { host, mut warnings, load } = self;
        warnings.extend(Load::now().since(&load).stolen_words());
        Report { workload: workload.to_owned(), title, host, warnings, ..Report::default() }
    }
}

/// Bytes for people: whole KiB and MiB as such.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes > 0 && bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes > 0 && bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        bytes => format!("{} B", shown(bytes as f64)),
    }
}

/// To whom is published, in words.
pub(super) fn audience(across: bool, subscribers: usize) -> String {
    let what = match (across, subscribers) {
        (true, 1) => "server",
        (true, _) => "servers",
        (false, 1) => "subscriber process",
        (false, _) => "subscriber processes",
    };
    format!("{} {what}", shown(subscribers as f64))
}

/// A chart without bars so far.
pub(super) fn chart(title: &str, unit: &str) -> BarChart {
    BarChart { title: title.to_owned(), unit: unit.to_owned(), bars: Vec::new() }
}

/// Least, median and most of some times in milliseconds.
pub(super) fn spread(key: &str, label: &str, samples: &[f64]) -> Vec<Figure> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = match sorted.len() % 2 {
        0 => (at(&sorted, middle.wrapping_sub(1)) + at(&sorted, middle)) / 2.0,
        _ => at(&sorted, middle),
    };
    [("min", at(&sorted, 0)), ("median", median), ("max", at(&sorted, sorted.len().wrapping_sub(1)))]
        .map(|(name, value)| Figure::new(format!("{key}_{name}_ms"), format!("{label} {name}"), "ms", value))
        .into()
}

fn at(sorted: &[f64], index: usize) -> f64 {
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in
            [(0, "0 B"), (64, "64 B"), (1_500, "1,500 B"), (65_536, "64 KiB"), (1 << 20, "1 MiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_spread_is_least_median_and_most() {
        let values = |samples: &[f64]| {
            spread("told", "told", samples).into_iter().map(|f| f.value).collect::<Vec<_>>()
        };
        assert_eq!(values(&[3.0, 1.0, 2.0]), [Some(1.0), Some(2.0), Some(3.0)]);
        assert_eq!(values(&[4.0, 1.0]), [Some(1.0), Some(2.5), Some(4.0)]);
        assert_eq!(values(&[]), [None, None, None]);
        assert_eq!(spread("told", "told", &[1.0])[1].key, "told_median_ms");
    }
}
