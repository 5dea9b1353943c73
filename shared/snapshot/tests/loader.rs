//! Loading on other threads gives what loading at once gives.

mod common;

use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use common::{Content, SERVICE, State, begin, item, noise, save_as, until, wanted};
use oddwatch_snapshot::{Error, Loaded, Loader, Store, Subject, Wanted};

fn state(number: u64) -> State {
    State::new(&number.to_le_bytes(), (0..100).map(|index| noise(number + index, 50)).collect())
}

/// Snapshots of partitions `rows/0` and so on.
fn store(partitions: u64) -> Arc<Store> {
    let store = Arc::new(Store::memory());
    for number in 0..partitions {
        let subject = Subject::new(SERVICE, format!("rows/{number}"));
        assert_eq!(save_as(&store, &subject, &state(number), 10 + number, &[]).len(), 1);
    }
    store
}

type Answer = (String, Result<Loaded<Content>, Error>);

/// All answers, sorted.
fn all(loader: &mut Loader<Content>) -> Vec<Answer> {
    let mut answers = vec![];
    until("end of loading", || {
        answers.extend(loader.ready());
        (!loader.in_progress()).then_some(())
    });
    answers.sort_by(|a, b| a.0.cmp(&b.0));
    answers
}

#[test]
fn all_are_loaded() {
    let store = store(9);
    for inline in [true, false] {
        let mut loader = Loader::new(Arc::clone(&store), SERVICE, inline);
        for number in (0..10).rev() {
            loader.request(&format!("rows/{number}"), wanted(), begin, item);
        }
        let answers = all(&mut loader);
        assert_eq!(answers.len(), 10);
        for (number, (partition, loaded)) in (0..).zip(answers) {
            assert_eq!(partition, format!("rows/{number}"));
            match loaded.expect("memory reads").state {
                Some((header, content)) => {
                    assert_eq!((header.offset, content), (10 + number, state(number).content()));
                }
                None => assert_eq!(number, 9),
            }
        }
        assert!(loader.ready().is_empty());
    }
}

#[test]
fn a_bounded_number_loads_at_a_time() {
    let store = store(8);
    let mut loader = Loader::new(store, SERVICE, false);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for number in 0..8 {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        let first = move |header: &_, head: &[u8]| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let content = begin(header, head);
            now.fetch_sub(1, Ordering::SeqCst);
            content
        };
        loader.request(&format!("rows/{number}"), wanted(), first, item);
    }
    assert_eq!(all(&mut loader).len(), 8);
    assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
}

#[test]
fn a_forgotten_one_is_not_answered_and_the_last_request_counts() {
    let store = store(3);
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let mut loader = Loader::new(Arc::clone(&store), SERVICE, false);
    for number in 0..3 {
        let gate = Arc::clone(&gate);
        let wait = move |header: &_, head: &[u8]| {
            let open = gate.0.lock().expect("nobody panics in here");
            drop(gate.1.wait_while(open, |open| !*open).expect("nobody panics in here"));
            begin(header, head)
        };
        loader.request(&format!("rows/{number}"), wanted(), wait, item);
    }
    // 0 is running, 2 waits; 1 is asked for again, with another wish.
    loader.forget("rows/0");
    loader.forget("rows/2");
    loader.request("rows/1", Wanted { offset_max: 0, ..wanted() }, begin, item);
    assert!(loader.ready().is_empty());
    *gate.0.lock().expect("nobody panics in here") = true;
    gate.1.notify_all();
    let answers = all(&mut loader);
    assert_eq!(answers.len(), 1);
    let loaded = answers[0].1.as_ref().expect("memory reads");
    assert!(answers[0].0 == "rows/1" && loaded.state.is_none());
    // In a single-threaded run as well.
    let mut loader = Loader::new(store, SERVICE, true);
    loader.request("rows/0", wanted(), begin, item);
    loader.request("rows/1", wanted(), begin, item);
    loader.forget("rows/0");
    assert_eq!(all(&mut loader).len(), 1);
}

#[test]
fn a_decoder_that_panics_is_an_error_of_its_partition() {
    let mut loader = Loader::new(store(2), SERVICE, false);
    loader.request("rows/0", wanted(), |_, _| panic!("planned by the test"), item);
    loader.request("rows/1", wanted(), begin, item);
    let answers = all(&mut loader);
    let error = answers[0].1.as_ref().expect_err("it panicked").to_string();
    assert_eq!(error, "rows/0: loading its snapshot panicked");
    assert!(answers[1].1.as_ref().is_ok_and(|loaded| loaded.state.is_some()));
}

#[test]
fn a_worker_can_be_moved_to_its_thread() {
    fn check<T: Send>() {}
    check::<oddwatch_snapshot::Saver>();
    check::<Loader<Content>>();
    check::<oddwatch_snapshot::Slices<Content>>();
    check::<Arc<Store>>();
}
