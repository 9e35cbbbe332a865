//! Ctrl-C ends what goes on; what was made can then be taken away, until a second one.

use std::future::pending;

use nix::sys::signal::{Signal, raise};

use crate::subject::cluster::error::ClusterError;
use crate::subject::cluster::runtime;
use crate::subject::cluster::stop::Stop;

#[test]
fn a_signal_ends_the_work_and_not_the_removal() {
    let runtime = runtime().unwrap();
    let mut stop = {
        let _inside = runtime.enter();
        Stop::new().unwrap()
    };
    let interrupted = |result: Result<(), ClusterError>| matches!(result, Err(ClusterError::Interrupted));
    assert!(stop.work(&runtime, async { Ok(()) }).is_ok());
    raise(Signal::SIGINT).unwrap();
    assert!(interrupted(stop.work(&runtime, pending())));
    assert!(interrupted(stop.work(&runtime, async { Ok(()) })), "nothing new begins");
    assert!(stop.again(&runtime, async { Ok(()) }).is_ok(), "the removal does its work");
    raise(Signal::SIGTERM).unwrap();
    assert!(interrupted(stop.again(&runtime, pending())), "and ends with a second signal");
}
