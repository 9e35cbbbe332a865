//! How much memory compiled state takes, counted byte by byte.

#[expect(dead_code, reason = "benches have other shapes as well")]
#[path = "../benches/scale/shapes.rs"]
mod shapes;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use egret_core::compile::{Allocator, Compiler};
use egret_core::fqdn::Names;

/// Bytes for each pod of a namespace with four pods and three policies: its own, and its share of them.
const LIMIT: usize = 1024;

/// Counts what is asked of the system's allocator and not yet given back.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it comes.
#[expect(unsafe_code, reason = "the trait of allocators is unsafe to implement")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps what the trait asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps what the trait asks for.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn bytes_for_each_pod() {
    let namespaces = 2_500;
    let shape = shapes::small_namespaces(namespaces);
    let before = HELD.load(Ordering::Relaxed);
    let compiler = Compiler::new(&shape.desired, shapes::NODE, &Names::default(), Allocator::default());
    let held = HELD.load(Ordering::Relaxed) - before;
    let pods = compiler.state().endpoints.len();
    assert_eq!(pods, 4 * namespaces);
    println!("{} bytes for each of {pods} pods", held / pods);
    assert!(held / pods <= LIMIT, "{} bytes for each pod", held / pods);
}
