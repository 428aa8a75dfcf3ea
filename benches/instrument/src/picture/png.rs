//! A scene as PNG bytes.

use tiny_skia::{FillRule, LineCap, LineJoin, Paint, PathBuilder, Pixmap, Rect, Stroke, Transform};

use super::PictureError;
use super::font::Font;
use super::scene::{Anchor, Colour, PAPER, Scene, Shape, Text, Weight};

/// Pixels for each unit: sharp on screens of today.
const SCALE: f32 = 2.0;

pub(super) fn paint(scene: &Scene) -> Result<Vec<u8>, PictureError> {
    let pixels = |length: f32| (length * SCALE).ceil() as u32;
    let (width, height) = (pixels(scene.width), pixels(scene.height));
    // More than 16,384 lines of 2,320 pixels would take over 150 MB.
    if height > 16_384 {
        return Err(PictureError::TooLarge);
    }
    let mut canvas = Pixmap::new(width, height).ok_or(PictureError::TooLarge)?;
    let Colour(red, green, blue) = PAPER;
    canvas.fill(tiny_skia::Color::from_rgba8(red, green, blue, u8::MAX));
    let fonts = [Weight::Regular, Weight::Medium].map(|weight| (weight, Font::of(weight)));
    for shape in &scene.shapes {
        draw(&mut canvas, shape, &fonts);
    }
    canvas.encode_png().map_err(|error| PictureError::Encode(error.to_string()))
}

/// Draws a shape; one without an extent leaves no trace.
fn draw(canvas: &mut Pixmap, shape: &Shape, fonts: &[(Weight, Font)]) {
    let scaled = Transform::from_scale(SCALE, SCALE);
    match shape {
        Shape::Rect { x, y, width, height, colour } => {
            if let Some(rect) = Rect::from_xywh(*x, *y, *width, *height) {
                canvas.fill_rect(rect, &colour_of(*colour), scaled, None);
            }
        }
        Shape::Line { points, width, colour } => {
            let mut path = PathBuilder::new();
            for (at, (x, y)) in points.iter().enumerate() {
                if at == 0 { path.move_to(*x, *y) } else { path.line_to(*x, *y) }
            }
            let stroke = Stroke {
                width: *width,
                line_cap: LineCap::Round,
                line_join: LineJoin::Round,
                ..Stroke::default()
            };
            if let Some(path) = path.finish() {
                canvas.stroke_path(&path, &colour_of(*colour), &stroke, scaled, None);
            }
        }
        Shape::Text(Text { x, y, text, size, weight, anchor, colour }) => {
            let Some((_, font)) = fonts.iter().find(|(of, _)| of == weight) else { return };
            let left = match anchor {
                Anchor::Start => *x,
                Anchor::Middle => x - font.width(text, *size) / 2.0,
                Anchor::End => x - font.width(text, *size),
            };
            if let Some(path) = font.path(text, *size) {
                let place = scaled.pre_translate(left, *y);
                canvas.fill_path(&path, &colour_of(*colour), FillRule::Winding, place, None);
            }
        }
    }
}

fn colour_of(Colour(red, green, blue): Colour) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, u8::MAX);
    paint
}
