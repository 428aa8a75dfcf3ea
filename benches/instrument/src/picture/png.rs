//! A scene as PNG bytes.

use super::PictureError;
use super::font::Font;
use super::outline::Outline;
use super::scene::{Anchor, Colour, PAPER, Scene, Shape, Text, Weight};

/// Pixels for each unit: sharp on screens of today.
const SCALE: f32 = 2.0;

pub(super) fn paint(scene: &Scene) -> Result<Vec<u8>, PictureError> {
    let pixels = |length: f32| (length * SCALE).ceil() as u32;
    let (width, height) = (pixels(scene.width), pixels(scene.height));
    // More than 16,384 lines of 2,320 pixels would take over 100 MB.
    if height > 16_384 {
        return Err(PictureError::TooLarge);
    }
    let Colour(red, green, blue) = PAPER;
    let mut canvas =
        Canvas { width: width as usize, pixels: [red, green, blue].repeat((width * height) as usize) };
    let fonts = [Weight::Regular, Weight::Medium].map(|weight| (weight, Font::of(weight)));
    for shape in &scene.shapes {
        canvas.draw(shape, &fonts);
    }
    encoded(width, height, &canvas.pixels).map_err(|error| PictureError::Encode(error.to_string()))
}

fn encoded(width: u32, height: u32, pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// Red, green and blue of each pixel, line by line.
struct Canvas {
    width: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    fn draw(&mut self, shape: &Shape, fonts: &[(Weight, Font)]) {
        match shape {
            Shape::Rect { x, y, width, height, colour } => {
                self.fill(&Outline::rect(*x, *y, *width, *height), *colour);
            }
            Shape::Line { points, width, colour } => self.fill(&Outline::stroke(points, *width), *colour),
            Shape::Text(Text { x, y, text, size, weight, anchor, colour }) => {
                let Some((_, font)) = fonts.iter().find(|(of, _)| of == weight) else { return };
                let left = match anchor {
                    Anchor::Start => *x,
                    Anchor::Middle => x - font.width(text, *size) / 2.0,
                    Anchor::End => x - font.width(text, *size),
                };
                self.fill(&font.outline(text, *size, left, *y), *colour);
            }
        }
    }

    /// Lays a colour over what an outline covers; what lies outside is cut off.
    fn fill(&mut self, outline: &Outline, Colour(red, green, blue): Colour) {
        outline.cover(SCALE, |x, y, alpha| {
            let at = (y * self.width + x) * 3;
            let pixel = self.pixels.get_mut(at..at + 3).filter(|_| x < self.width);
            for (below, above) in pixel.into_iter().flatten().zip([red, green, blue]) {
                let mixed = f32::from(*below) * (1.0 - alpha) + f32::from(above) * alpha;
                *below = mixed.round() as u8;
            }
        });
    }
}
