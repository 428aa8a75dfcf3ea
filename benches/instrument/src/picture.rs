//! The picture of a measurement: percentile curves and bars, as SVG and PNG.
//!
//! ```text
//! layout.rs   what stands where: a picture becomes a scene
//! curves.rs   the panel of percentile curves
//! axis.rs     scales and their ticks
//! scene.rs    shapes: the little that both forms can draw
//! svg.rs      a scene as SVG text
//! png.rs      a scene as PNG bytes
//! outline.rs  the edges of a shape, and a line with a width as such
//! font.rs     the letters, which come with the program: no font of the system is needed, nor a browser
//! ```

mod axis;
mod curves;
mod font;
mod layout;
mod outline;
mod png;
mod scene;
mod svg;

use crate::latencies::Latencies;

/// What to show.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picture {
    /// One line, at most about 90 letters.
    pub title: String,
    /// The load and the machine, below the title.
    pub subtitle: String,
    /// Percentile curves of one panel; none: no panel. Up to twelve have a colour of their own.
    pub curves: Vec<Curve>,
    /// Bars, two charts beside each other.
    pub bars: Vec<BarChart>,
    /// Lines at the foot, such as warnings.
    pub notes: Vec<String>,
}

/// A percentile curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Its name in the legend, at most about 26 letters.
    pub label: String,
    /// Nanoseconds.
    pub latencies: Latencies,
}

/// Bars with a common scale.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BarChart {
    /// Such as `Last subscriber, p50`.
    pub title: String,
    /// Such as `µs`.
    pub unit: String,
    /// From the top.
    pub bars: Vec<Bar>,
}

/// A bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Such as the system's name; one that a curve has, too, gets that curve's colour.
    pub label: String,
    /// Its length, at least 0; `None` where there is no figure.
    pub value: Option<f64>,
}

/// Why there is no PNG.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// More bars than a picture has room for.
    #[error("the picture is too large to be drawn")]
    TooLarge,
    /// The encoder refused.
    #[error("the picture cannot be encoded: {0}")]
    Encode(String),
}

impl Picture {
    /// As SVG: text stays text, in whatever sans serif font the reader has.
    pub fn svg(&self) -> String {
        svg::write(&layout::scene(self))
    }

    /// As PNG, two pixels for each unit of the SVG.
    ///
    /// # Errors
    /// For a picture of thousands of bars.
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        png::paint(&layout::scene(self))
    }
}

#[cfg(test)]
mod tests;
