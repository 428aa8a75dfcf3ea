//! The panel of percentile curves.

use super::Curve;
use super::axis::{TimeAxis, nines, percentile_ticks};
use super::layout::{MARGIN, WIDTH, fitted, label, text};
use super::scene::{AXIS, Anchor, FAINT_INK, GRID, INK, Shape, Weight, colour};
use crate::latencies::Latencies;
use crate::report::shown;

/// The plot's own extent; its labels stand left of and below it, the legend to its right.
const LEFT: f32 = MARGIN + 58.0;
const RIGHT: f32 = WIDTH - MARGIN - 372.0;
const HEIGHT: f32 = 360.0;

/// Room for a line of the legend, and for a column of figures in it.
const LINE: f32 = 24.0;
const COLUMN: f32 = 64.0;

/// Between two points of a curve, in nines: finer than a pixel.
const STEP: f64 = 0.008;

/// Draws the panel below `top`; gives where it ends.
pub(super) fn panel(shapes: &mut Vec<Shape>, curves: &[Curve], top: f32) -> f32 {
    let drawn = || curves.iter().filter(|curve| !curve.latencies.is_empty()).map(|curve| &curve.latencies);
    let least = drawn().map(|all| all.quantile_ns(0.0)).min().unwrap_or(1_000);
    let most = drawn().map(|all| all.quantile_ns(1.0)).max().unwrap_or(1_000_000);
    let time = TimeAxis::around(least, most);
    let nines = nines(drawn().map(Latencies::len).max().unwrap_or_default());
    shapes.push(label(MARGIN, top + 14.0, "Latency by percentile", Weight::Medium, INK));
    let top = top + 34.0;
    let bottom = top + HEIGHT;
    let x = |nine: f32| LEFT + (RIGHT - LEFT) * nine / nines as f32;
    let y = |place: f32| bottom - HEIGHT * place;
    for (place, name) in time.ticks() {
        let y = y(place);
        shapes.push(Shape::Line { points: vec![(LEFT, y), (RIGHT, y)], width: 1.0, colour: GRID });
        shapes.push(text(LEFT - 10.0, y + 4.5, &name, 12.5, Anchor::End, FAINT_INK));
    }
    for (nine, name) in percentile_ticks(nines) {
        let x = x(nine);
        shapes.push(Shape::Line { points: vec![(x, top), (x, bottom)], width: 1.0, colour: GRID });
        shapes.push(text(x, bottom + 19.0, &name, 12.5, Anchor::Middle, FAINT_INK));
    }
    let frame = vec![(LEFT, top), (LEFT, bottom), (RIGHT, bottom)];
    shapes.push(Shape::Line { points: frame, width: 1.2, colour: AXIS });
    let what = "part of all deliveries that took no longer";
    shapes.push(text((LEFT + RIGHT) / 2.0, bottom + 40.0, what, 12.5, Anchor::Middle, FAINT_INK));
    // The first one last, so that it lies on top.
    for (at, curve) in curves.iter().enumerate().rev() {
        let points: Vec<_> =
            points(&curve.latencies).map(|(nine, ns)| (x(nine as f32), y(time.place(ns)))).collect();
        let width = if at == 0 { 2.8 } else { 2.0 };
        shapes.push(Shape::Line { points, width, colour: colour(at) });
    }
    legend(shapes, curves, top).max(bottom + 52.0)
}

/// A curve's points: nines and nanoseconds. It ends at the largest value, where the last of them counts.
fn points(all: &Latencies) -> impl Iterator<Item = (f64, f64)> {
    let end = (all.len().max(1) as f64).log10().min(6.0);
    let steps = if all.is_empty() { 0 } else { (end / STEP) as u32 + 1 };
    let inner = (0..steps).map(|step| f64::from(step) * STEP).map(|nine| {
        let ns = all.quantile_ns(1.0 - 10f64.powf(-nine));
        (nine, ns as f64)
    });
    inner.chain((steps > 0).then(|| (end, all.quantile_ns(1.0) as f64)))
}

/// Names and three figures of each curve, in columns; gives where it ends.
fn legend(shapes: &mut Vec<Shape>, curves: &[Curve], top: f32) -> f32 {
    let columns = [("p50", 0.5), ("p99", 0.99), ("max", 1.0)];
    let right = |at: usize| WIDTH - MARGIN - COLUMN * (columns.len() - 1 - at) as f32;
    let left = RIGHT + 26.0;
    for (at, (name, _)) in columns.iter().enumerate() {
        shapes.push(text(right(at), top + 10.0, name, 12.0, Anchor::End, FAINT_INK));
    }
    for (at, curve) in curves.iter().enumerate() {
        let y = top + 10.0 + LINE * (at + 1) as f32;
        let points = vec![(left, y - 4.5), (left + 16.0, y - 4.5)];
        shapes.push(Shape::Line { points, width: 3.6, colour: colour(at) });
        let room = right(0) - COLUMN + 6.0 - (left + 26.0);
        shapes.push(text(left + 26.0, y, &fitted(&curve.label, 13.0, room), 13.0, Anchor::Start, INK));
        for (column, (_, q)) in columns.iter().enumerate() {
            let figure = if curve.latencies.is_empty() {
                "-".to_owned()
            } else {
                brief(curve.latencies.quantile_us(*q))
            };
            shapes.push(text(right(column), y, &figure, 13.0, Anchor::End, INK));
        }
    }
    top + 20.0 + LINE * curves.len() as f32
}

/// Microseconds in a few letters.
fn brief(us: f64) -> String {
    match us {
        us if us < 10.0 => format!("{us:.1} µs"),
        us if us < 10_000.0 => format!("{} µs", shown(us.round())),
        us if us < 10_000_000.0 => format!("{} ms", shown((us / 1e3).round())),
        us => format!("{} s", shown((us / 1e6).round())),
    }
}
