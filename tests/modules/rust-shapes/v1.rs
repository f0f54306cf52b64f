//! Shapes behind a trait: dynamic dispatch, vectors of boxes, formatting.

use std::fmt;

trait Shape {
    fn area(&self) -> f64;
    fn name(&self) -> String;
    fn scale(&mut self, by: f64);
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    x: f64,
    y: f64,
}

struct Circle {
    centre: Point,
    radius: f64,
}

struct Polygon {
    corners: Vec<Point>,
}

static UNIT: &str = "m2";
static mut SCALED: u32 = 0;
const PI: f64 = 3.14;

fn count_scaling() {
    // The program has one thread.
    unsafe { SCALED += 1 }
}

impl Shape for Circle {
    fn area(&self) -> f64 {
        PI * self.radius * self.radius
    }

    fn name(&self) -> String {
        format!("circle at {}", self.centre)
    }

    fn scale(&mut self, by: f64) {
        count_scaling();
        self.radius *= by;
    }
}

impl Shape for Polygon {
    fn area(&self) -> f64 {
        let next = self.corners.iter().cycle().skip(1);
        let doubled: f64 = self.corners.iter().zip(next).map(|(a, b)| a.x * b.y - b.x * a.y).sum();
        doubled.abs() / 2.0
    }

    fn name(&self) -> String {
        match self.corners.len() {
            3 => "triangle".to_string(),
            4 => "quadrilateral".to_string(),
            n => format!("{n}-gon"),
        }
    }

    fn scale(&mut self, by: f64) {
        count_scaling();
        for corner in &mut self.corners {
            *corner = Point { x: corner.x * by, y: corner.y * by };
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:.1}, {:.1})", self.x, self.y)
    }
}

fn polygon(corners: &[(f64, f64)]) -> Box<dyn Shape> {
    Box::new(Polygon { corners: corners.iter().map(|&(x, y)| Point { x, y }).collect() })
}

fn circle(x: f64, y: f64, radius: f64) -> Box<dyn Shape> {
    Box::new(Circle { centre: Point { x, y }, radius })
}

#[inline(never)]
fn report(shapes: &[Box<dyn Shape>]) {
    for (i, shape) in shapes.iter().enumerate() {
        println!("{i}: {:<24} {:>10.3} {UNIT}", shape.name(), shape.area());
    }
}

#[inline(never)]
fn total(shapes: &[Box<dyn Shape>]) -> f64 {
    shapes.iter().map(|shape| shape.area()).sum()
}

fn main() {
    let mut shapes = vec![
        circle(0.0, 0.0, 1.0),
        polygon(&[(0.0, 0.0), (4.0, 0.0), (0.0, 3.0)]),
        polygon(&[(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)]),
        polygon(&[(0.0, 0.0), (3.0, 0.0), (4.0, 2.0), (2.0, 4.0), (0.0, 3.0)]),
    ];
    report(&shapes);
    shapes.iter_mut().for_each(|shape| shape.scale(2.0));
    shapes.sort_by(|a, b| a.area().total_cmp(&b.area()));
    report(&shapes);
    println!("total {:.2} {UNIT}, scaled {} times", total(&shapes), unsafe { SCALED });
}
