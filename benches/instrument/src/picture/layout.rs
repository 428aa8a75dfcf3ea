//! What stands where: a picture becomes a scene.

use super::curves;
use super::font::Font;
use super::scene::{Anchor, Colour, FAINT_INK, GRID, INK, Scene, Shape, Text, Weight, colour};
use super::{BarChart, Picture};
use crate::report::shown;

/// Of the whole picture.
pub(super) const WIDTH: f32 = 1160.0;
/// Around all of it.
pub(super) const MARGIN: f32 = 36.0;

/// Between two charts of bars.
const GUTTER: f32 = 56.0;
/// From bar to bar, and a bar's own height.
const ROW: f32 = 27.0;
const BAR: f32 = 16.0;

pub(super) fn scene(picture: &Picture) -> Scene {
    let mut shapes = Vec::new();
    shapes.push(Shape::Text(Text {
        x: MARGIN,
        y: MARGIN + 16.0,
        text: picture.title.clone(),
        size: 22.0,
        weight: Weight::Medium,
        anchor: Anchor::Start,
        colour: INK,
    }));
    let mut y = MARGIN + 40.0;
    for line in wrapped(&picture.subtitle, 13.5, WIDTH - 2.0 * MARGIN) {
        shapes.push(text(MARGIN, y, &line, 13.5, Anchor::Start, FAINT_INK));
        y += 19.0;
    }
    y += 14.0;
    if !picture.curves.is_empty() {
        y = curves::panel(&mut shapes, &picture.curves, y) + 24.0;
    }
    for pair in picture.bars.chunks(2) {
        let width =
            if pair.len() == 1 { WIDTH - 2.0 * MARGIN } else { (WIDTH - 2.0 * MARGIN - GUTTER) / 2.0 };
        let ends = pair.iter().enumerate().map(|(at, chart)| {
            let left = MARGIN + (width + GUTTER) * at as f32;
            bars(&mut shapes, picture, chart, left, width, y)
        });
        y = ends.fold(y, f32::max) + 26.0;
    }
    for note in &picture.notes {
        for line in wrapped(note, 12.5, WIDTH - 2.0 * MARGIN) {
            shapes.push(text(MARGIN, y, &line, 12.5, Anchor::Start, FAINT_INK));
            y += 18.0;
        }
    }
    Scene { width: WIDTH, height: (y + MARGIN - 18.0).ceil(), shapes }
}

/// Draws a chart of bars; gives where it ends.
fn bars(
    shapes: &mut Vec<Shape>,
    picture: &Picture,
    chart: &BarChart,
    left: f32,
    width: f32,
    top: f32,
) -> f32 {
    let unit = if chart.unit.is_empty() { String::new() } else { format!(", {}", chart.unit) };
    shapes.push(label(left, top + 14.0, &format!("{}{unit}", chart.title), Weight::Medium, INK));
    let font = Font::of(Weight::Regular);
    let names = chart.bars.iter().map(|bar| font.width(&bar.label, 13.0)).fold(0.0, f32::max);
    let figures = chart.bars.iter().filter_map(|bar| bar.value).map(|value| font.width(&shown(value), 13.0));
    let begin = left + names.min(width / 2.0) + 12.0;
    let room = left + width - begin - figures.fold(0.0, f32::max) - 10.0;
    let most = chart.bars.iter().filter_map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let mut y = top + 30.0;
    let bottom = y + ROW * chart.bars.len() as f32;
    shapes.push(Shape::Line { points: vec![(begin, y), (begin, bottom)], width: 1.0, colour: GRID });
    for (at, bar) in chart.bars.iter().enumerate() {
        let base = y + ROW / 2.0 + 4.5;
        shapes.push(text(begin - 10.0, base, &bar.label, 13.0, Anchor::End, INK));
        let length = (bar.value.unwrap_or_default() / most) as f32 * room;
        let (x, y_bar) = (begin, y + (ROW - BAR) / 2.0);
        if length > 0.0 {
            let colour = bar_colour(picture, &bar.label, at);
            shapes.push(Shape::Rect { x, y: y_bar, width: length.max(1.0), height: BAR, colour });
        }
        let figure = bar.value.map_or_else(|| "no figure".to_owned(), shown);
        shapes.push(text(begin + length + 8.0, base, &figure, 13.0, Anchor::Start, INK));
        y += ROW;
    }
    bottom
}

/// That of the curve with the same name; else of its own place.
fn bar_colour(picture: &Picture, name: &str, at: usize) -> Colour {
    colour(picture.curves.iter().position(|curve| curve.label == name).unwrap_or(at))
}

pub(super) fn text(x: f32, y: f32, text: &str, size: f32, anchor: Anchor, colour: Colour) -> Shape {
    Shape::Text(Text { x, y, text: text.to_owned(), size, weight: Weight::Regular, anchor, colour })
}

/// The name of a panel.
pub(super) fn label(x: f32, y: f32, text: &str, weight: Weight, colour: Colour) -> Shape {
    Shape::Text(Text { x, y, text: text.to_owned(), size: 15.0, weight, anchor: Anchor::Start, colour })
}

/// A text that is cut where it has no room.
pub(super) fn fitted(text: &str, size: f32, room: f32) -> String {
    let font = Font::of(Weight::Regular);
    let mut kept = text.to_owned();
    while font.width(&kept, size) > room && kept.pop().is_some() {
        if font.width(&format!("{kept}…"), size) <= room {
            return format!("{kept}…");
        }
    }
    kept
}

/// Lines that fit between the margins.
fn wrapped(text: &str, size: f32, width: f32) -> Vec<String> {
    let font = Font::of(Weight::Regular);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if font.width(&format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
