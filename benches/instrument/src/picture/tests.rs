use super::scene::{Anchor, Shape, Text, Weight};
use super::*;

/// Latencies around a middle, with a tail.
fn latencies(middle: u64) -> Latencies {
    let mut all = Latencies::default();
    for at in 0..20_000u64 {
        let tail = if at % 1_000 == 0 { 20 } else { 1 };
        all.record(middle * 500 * tail + middle * (at * 7_919 % 1_000));
    }
    all
}

pub(super) fn picture() -> Picture {
    let names = ["talkie", "raw-tcp", "zenoh, low latency", "nats-tls", "zmq <curve> & co"];
    let curve = |(at, name): (usize, &&str)| Curve {
        label: (*name).to_owned(),
        latencies: latencies(80 + 40 * at as u64),
    };
    let chart = |title: &str, unit: &str| BarChart {
        title: title.to_owned(),
        unit: unit.to_owned(),
        bars: names
            .iter()
            .enumerate()
            .map(|(at, name)| Bar { label: (*name).to_owned(), value: (at != 3).then_some(9.5 * at as f64) })
            .collect(),
    };
    Picture {
        title: "Fan-out to 4 subscriber processes, 64 B, 1,000 messages a second".to_owned(),
        subtitle: "5 s, open loop: latency from when a message was due. Some processor, 2 cores".to_owned(),
        curves: names.iter().enumerate().map(curve).collect(),
        bars: vec![chart("Last subscriber, p50", "µs"), chart("Processor time per million deliveries", "s")],
        notes: vec!["Warning: a debug build says nothing of speed".to_owned()],
    }
}

#[test]
fn the_svg_is_well_formed_and_holds_every_name() {
    let svg = picture().svg();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
    for name in ["zmq <curve> & co", "99.99 %", "50 %", "p99", "no figure"] {
        assert!(texts.contains(&name), "{name}: {texts:?}");
    }
    let lines = document.descendants().filter(|node| node.has_tag_name("polyline"));
    let curves = lines.filter(|node| node.attribute("points").is_some_and(|points| points.len() > 1_000));
    assert_eq!(curves.count(), 5);
}

#[test]
fn the_png_is_one_of_twice_the_size_and_not_blank() {
    let picture = picture();
    let bytes = picture.png().unwrap();
    let mut reader = ::png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    let scene = layout::scene(&picture);
    assert_eq!((frame.width as f32, frame.height as f32), (scene.width * 2.0, scene.height * 2.0));
    // Each curve's colour is there.
    for at in 0..5 {
        let scene::Colour(red, green, blue) = scene::colour(at);
        assert!(pixels.chunks_exact(3).any(|pixel| pixel == [red, green, blue]), "curve {at}");
    }
    if let Ok(path) = std::env::var("TEST_PICTURE") {
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn no_two_texts_overlap_and_none_leaves_the_picture() {
    for curves in [0, 1, 5] {
        let mut picture = picture();
        picture.curves.truncate(curves);
        if let Some(curve) = picture.curves.first_mut() {
            curve.label = "a name that is much too long for its place".to_owned();
            curve.latencies.record(9_999_400);
        }
        let scene = layout::scene(&picture);
        let boxes: Vec<(&str, [f32; 4])> = scene.shapes.iter().filter_map(extent).collect();
        for (at, (one, a)) in boxes.iter().enumerate() {
            assert!(
                a[0] >= 0.0 && a[2] <= scene.width && a[1] >= 0.0 && a[3] <= scene.height,
                "{one}: {a:?}"
            );
            for (other, b) in &boxes[at + 1..] {
                let apart = a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
                assert!(apart, "{one:?} {a:?} and {other:?} {b:?}");
            }
        }
    }
}

/// Left, top, right and bottom of a text.
fn extent(shape: &Shape) -> Option<(&str, [f32; 4])> {
    let Shape::Text(Text { x, y, text, size, weight, anchor, .. }) = shape else { return None };
    let width = font::Font::of(*weight).width(text, *size);
    let left = match anchor {
        Anchor::Start => *x,
        Anchor::Middle => x - width / 2.0,
        Anchor::End => x - width,
    };
    Some((text, [left, y - size * 0.75, left + width, y + size * 0.2]))
}

#[test]
fn every_letter_that_a_report_uses_is_in_the_fonts() {
    for weight in [Weight::Regular, Weight::Medium] {
        let font = font::Font::of(weight);
        let outline = |text: &str| font.outline(text, 10.0, 0.0, 0.0);
        let missing = outline("\u{e000}");
        for c in "µ×–…±·≤%,.0123456789abcABC".chars() {
            let outline = outline(&c.to_string());
            assert!(outline != outline::Outline::default() && outline != missing, "{c} is missing");
        }
    }
}

#[test]
fn nothing_to_show_is_still_a_picture() {
    let mut picture = Picture { title: "empty".to_owned(), ..Picture::default() };
    picture.curves.push(Curve { label: "none came".to_owned(), latencies: Latencies::default() });
    picture.bars.push(BarChart::default());
    roxmltree::Document::parse(&picture.svg()).unwrap();
    assert!(picture.png().is_ok());
    let many = vec![Bar { label: "a".to_owned(), value: Some(1.0) }; 1_000];
    picture.bars.push(BarChart { bars: many, ..BarChart::default() });
    assert_eq!(picture.png(), Err(PictureError::TooLarge));
}

#[test]
fn a_line_covers_its_width_and_no_more() {
    for to in [(10.0, 0.0), (0.0, 10.0), (-6.0, 8.0), (6.0, -8.0)] {
        let line = outline::Outline::stroke(&[(20.0, 20.0), (20.0 + to.0, 20.0 + to.1)], 2.0);
        let mut covered = 0.0;
        line.cover(1.0, |x, y, alpha| {
            assert!((8..34).contains(&x) && (8..34).contains(&y), "{x}, {y}");
            covered += alpha;
        });
        // The rectangle, and a round cap of half a circle at each end.
        assert!((covered - (20.0 + std::f32::consts::PI)).abs() < 2.5, "{to:?}: {covered}");
    }
}
