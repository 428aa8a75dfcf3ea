//! The letters: Roboto, in two weights.

use ab_glyph_rasterizer::{Point, point};
use ttf_parser::{Face, OutlineBuilder};

use super::outline::Outline;
use super::scene::Weight;

/// A font with its letters' outlines and widths.
pub(super) struct Font {
    face: Option<Face<'static>>,
}

impl Font {
    pub(super) fn of(weight: Weight) -> Self {
        let bytes: &[u8] = match weight {
            Weight::Regular => include_bytes!("../../font/Roboto-Regular.ttf"),
            Weight::Medium => include_bytes!("../../font/Roboto-Medium.ttf"),
        };
        // A test shows that both can be read.
        Self { face: Face::parse(bytes, 0).ok() }
    }

    /// How wide a text is at this size.
    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        let Some(face) = &self.face else { return 0.0 };
        let advance = |c| face.glyph_hor_advance(face.glyph_index(c).unwrap_or_default()).unwrap_or_default();
        let units: f32 = text.chars().map(|c| f32::from(advance(c))).sum();
        units * size / f32::from(face.units_per_em())
    }

    /// The outline of a text whose base line begins at this place.
    pub(super) fn outline(&self, text: &str, size: f32, x: f32, y: f32) -> Outline {
        let Some(face) = &self.face else { return Outline::default() };
        let scale = size / f32::from(face.units_per_em());
        let mut pen = Pen { outline: Outline::default(), x, y, scale, first: point(x, y), last: point(x, y) };
        for c in text.chars() {
            let glyph = face.glyph_index(c).unwrap_or_default();
            face.outline_glyph(glyph, &mut pen);
            pen.x += f32::from(face.glyph_hor_advance(glyph).unwrap_or_default()) * scale;
        }
        pen.outline
    }
}

/// Draws outlines at a place; fonts count upwards, pictures downwards.
struct Pen {
    outline: Outline,
    x: f32,
    y: f32,
    scale: f32,
    /// Where the contour under way begins, and where it is.
    first: Point,
    last: Point,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> Point {
        point(self.x + x * self.scale, self.y - y * self.scale)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.first = self.at(x, y);
        self.last = self.first;
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let to = self.at(x, y);
        self.outline.line(self.last, to);
        self.last = to;
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let to = self.at(x, y);
        self.outline.quad(self.last, self.at(x1, y1), to);
        self.last = to;
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let to = self.at(x, y);
        self.outline.cubic(self.last, self.at(x1, y1), self.at(x2, y2), to);
        self.last = to;
    }

    fn close(&mut self) {
        self.outline.line(self.last, self.first);
        self.last = self.first;
    }
}
