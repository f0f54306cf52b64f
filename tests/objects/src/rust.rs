//! A program without a core library: a compiler can make objects of it for a target of which nothing is installed.
#![feature(no_core, lang_items)]
#![allow(internal_features)]
#![no_core]
#![crate_type = "lib"]

#[lang = "pointee_sized"]
trait PointeeSized {}
#[lang = "meta_sized"]
trait MetaSized: PointeeSized {}
#[lang = "sized"]
trait Sized: MetaSized {}
#[lang = "copy"]
trait Copy {}
impl Copy for i32 {}
#[lang = "add"]
trait Add<Other = Self> {
    type Output;
    fn add(self, other: Other) -> Self::Output;
}
impl Add for i32 {
    type Output = i32;
    #[inline(always)]
    fn add(self, other: i32) -> i32 {
        self + other
    }
}

mod inner {
    #[inline(always)]
    pub fn twice(by: i32) -> i32 {
        by + by
    }

    #[inline(never)]
    pub fn step(by: i32) -> i32 {
        let all = twice(by);
        #[cfg(edited)]
        let all = twice(all) + all;
        all + 5
    }
}

#[no_mangle]
pub extern "C" fn run(by: i32) -> i32 {
    inner::step(by) + inner::twice(by)
}
