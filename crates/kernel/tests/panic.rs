//! Alone in its file: a child that panics must not find the lock of another test's output held.

use berth_kernel::process::{Exit, fork};

#[test]
fn a_panic_in_a_child_stays_there() {
    std::panic::set_hook(Box::new(|_| {}));
    let child = fork(|| panic!("on purpose")).expect("a child");
    assert_eq!(child.pidfd.wait().expect("its end"), Exit::Code(101));
}
