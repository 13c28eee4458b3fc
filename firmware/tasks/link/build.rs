//! What the description gives this task.
fn main() {
    let _ = lazaret_description::emit::kernel::task("link");
}
