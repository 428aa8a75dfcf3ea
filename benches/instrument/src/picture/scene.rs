//! Shapes: the little that both forms can draw. The origin is the upper left corner, lengths are SVG units.

/// Everything that is drawn, from the back.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) width: f32,
    pub(super) height: f32,
    pub(super) shapes: Vec<Shape>,
}

#[derive(Debug)]
pub(super) enum Shape {
    Rect {
        x: f32,
        y: f32,
        width: f32,
        height: f32,
        colour: Colour,
    },
    /// A line through points, with round corners.
    Line {
        points: Vec<(f32, f32)>,
        width: f32,
        colour: Colour,
    },
    Text(Text),
}

/// A line of text; `y` is its base line.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) text: String,
    pub(super) size: f32,
    pub(super) weight: Weight,
    pub(super) anchor: Anchor,
    pub(super) colour: Colour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Medium,
}

/// Which part of a text stands at its `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour(pub(super) u8, pub(super) u8, pub(super) u8);

pub(super) const PAPER: Colour = Colour(0xff, 0xff, 0xff);
pub(super) const INK: Colour = Colour(0x1f, 0x24, 0x2b);
pub(super) const FAINT_INK: Colour = Colour(0x66, 0x6f, 0x7a);
pub(super) const GRID: Colour = Colour(0xe4, 0xe7, 0xeb);
pub(super) const AXIS: Colour = Colour(0xa9, 0xb0, 0xb8);

/// Told apart on paper and by most eyes; the first is for whom the picture is about.
const COLOURS: [Colour; 12] = [
    Colour(0x00, 0x5f, 0x9e),
    Colour(0xe0, 0x6c, 0x00),
    Colour(0x1b, 0x99, 0x6b),
    Colour(0xc2, 0x2f, 0x5b),
    Colour(0x7d, 0x55, 0xc7),
    Colour(0x8a, 0x6d, 0x1b),
    Colour(0x00, 0xa0, 0xb8),
    Colour(0x9b, 0xa5, 0x1d),
    Colour(0xd1, 0x5a, 0xb5),
    Colour(0x6b, 0x4a, 0x3a),
    Colour(0x5a, 0x8f, 0xd6),
    Colour(0x55, 0x5f, 0x6b),
];

/// The colour of the curve or bar at this place; from the thirteenth on they repeat.
pub(super) fn colour(at: usize) -> Colour {
    COLOURS.get(at % COLOURS.len()).copied().unwrap_or(INK)
}
