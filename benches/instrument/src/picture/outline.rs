//! The edges of a shape, and a line with a width as such.

use std::f32::consts::TAU;

use ab_glyph_rasterizer::{Point, Rasterizer, point};

/// Closed contours. What lies within any of them is covered, if they all run the same way round.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Outline(Vec<Edge>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Edge {
    Line([Point; 2]),
    Quad([Point; 3]),
    Cubic([Point; 4]),
}

/// A turn that is sharper than this (cosine of 15 degrees) gets a round corner; others close by themselves.
const SHARP: f32 = 0.966;

/// Corners of a round end: rounder than a pixel shows.
const CORNERS: u8 = 16;

impl Outline {
    pub(super) fn line(&mut self, from: Point, to: Point) {
        self.0.push(Edge::Line([from, to]));
    }

    pub(super) fn quad(&mut self, from: Point, by: Point, to: Point) {
        self.0.push(Edge::Quad([from, by, to]));
    }

    pub(super) fn cubic(&mut self, from: Point, by: Point, and: Point, to: Point) {
        self.0.push(Edge::Cubic([from, by, and, to]));
    }

    pub(super) fn rect(x: f32, y: f32, width: f32, height: f32) -> Self {
        let (right, bottom) = (x + width, y + height);
        let mut outline = Self::default();
        outline.polygon(&[point(x, y), point(right, y), point(right, bottom), point(x, bottom)]);
        outline
    }

    /// A line through points, with round ends and corners.
    pub(super) fn stroke(points: &[(f32, f32)], width: f32) -> Self {
        let mut outline = Self::default();
        let half = width / 2.0;
        let mut before: Option<(f32, f32)> = None;
        for pair in points.windows(2) {
            let &[(x0, y0), (x1, y1)] = pair else { continue };
            let (dx, dy) = (x1 - x0, y1 - y0);
            let length = dx.hypot(dy);
            if length == 0.0 {
                continue;
            }
            let (dx, dy) = (dx / length, dy / length);
            if before.is_none_or(|(bx, by)| bx * dx + by * dy < SHARP) {
                outline.circle(x0, y0, half);
            }
            before = Some((dx, dy));
            let (nx, ny) = (-dy * half, dx * half);
            outline.polygon(&[
                point(x0 - nx, y0 - ny),
                point(x1 - nx, y1 - ny),
                point(x1 + nx, y1 + ny),
                point(x0 + nx, y0 + ny),
            ]);
        }
        if let (Some(_), Some((x, y))) = (before, points.last()) {
            outline.circle(*x, *y, half);
        }
        outline
    }

    /// The same way round as the sides of a line.
    fn circle(&mut self, x: f32, y: f32, radius: f32) {
        let corners: Vec<Point> = (0..CORNERS)
            .map(|at| (f32::from(at) / f32::from(CORNERS) * TAU).sin_cos())
            .map(|(sin, cos)| point(x + radius * cos, y + radius * sin))
            .collect();
        self.polygon(&corners);
    }

    fn polygon(&mut self, corners: &[Point]) {
        for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
            self.line(*from, *to);
        }
    }

    /// Calls back with each pixel that it touches, after scaling, and how much of that it covers, up to 1.
    pub(super) fn cover(&self, scale: f32, mut paint: impl FnMut(usize, usize, f32)) {
        let points = || self.0.iter().flat_map(Edge::points);
        let least = |of: fn(&Point) -> f32| points().map(of).fold(f32::INFINITY, f32::min) * scale;
        let most = |of: fn(&Point) -> f32| points().map(of).fold(f32::NEG_INFINITY, f32::max) * scale;
        if self.0.is_empty() {
            return;
        }
        let (left, top) = (least(|p| p.x).floor().max(0.0), least(|p| p.y).floor().max(0.0));
        let (right, bottom) = (most(|p| p.x).ceil() + 1.0, most(|p| p.y).ceil() + 1.0);
        let moved = |p: Point| point(p.x * scale - left, p.y * scale - top);
        let size = |from: f32, to: f32| (to - from).max(0.0) as usize + 1;
        let mut pixels = Rasterizer::new(size(left, right), size(top, bottom));
        for edge in &self.0 {
            match *edge {
                Edge::Line([a, b]) => pixels.draw_line(moved(a), moved(b)),
                Edge::Quad([a, b, c]) => pixels.draw_quad(moved(a), moved(b), moved(c)),
                Edge::Cubic([a, b, c, d]) => pixels.draw_cubic(moved(a), moved(b), moved(c), moved(d)),
            }
        }
        pixels.for_each_pixel_2d(|x, y, alpha| {
            if alpha > 0.0 {
                paint(left as usize + x as usize, top as usize + y as usize, alpha.min(1.0));
            }
        });
    }
}

impl Edge {
    fn points(&self) -> &[Point] {
        match self {
            Self::Line(points) => points,
            Self::Quad(points) => points,
            Self::Cubic(points) => points,
        }
    }
}
