//! Stores are opened or refused with what would be right.

mod common;

use std::{fs, path::Path, sync::Arc};

use common::{PARTITION, SERVICE, State, load, offsets, save, subject, wanted};
use oddwatch_snapshot::Store;

/// What opening says: nothing, or an error with these words.
#[track_caller]
fn check(url: &str, words: Option<&str>) {
    match (Store::open(url, None), words) {
        (Ok(_), None) => {}
        (Err(error), Some(words)) => {
            let text = error.to_string();
            assert!(text.starts_with(url.trim_start_matches("file://")), "{text}");
            assert!(text.contains(words), "{text}, not {words}");
        }
        (Ok(_), Some(words)) => panic!("{url} was opened, not refused: {words}"),
        (Err(error), None) => panic!("{error:?}"),
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn urls() {
    check("memory:///", None);
    check("memory://", None);
    check("", Some("name a directory"));
    check(" ", Some("name a directory"));
    check("memory:///x", Some("memory is not known: right are"));
    check("ftp://host/dir", Some("ftp is not known: right are a directory, file:///directory"));
    let url = Store::open("file://host/dir", None).expect_err("there are no other hosts");
    assert!(url.to_string().contains("three slashes"), "{url}");
    if cfg!(not(feature = "s3")) {
        check("s3://bucket/prefix", Some("this build has no S3 client"));
    } else {
        check("s3://bucket/prefix", Some("needs a runtime"));
    }
}

#[test]
fn directories() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let missing = directory.path().join("a b/c%20d/é");
    check(&text(&missing), None);
    assert!(missing.is_dir() && fs::read_dir(&missing).expect("it is there").count() == 0);
    check(&text(&missing), None);
    // In a URL %20 is a blank.
    check(&format!("file://{}/with%20blank", directory.path().display()), None);
    assert!(directory.path().join("with blank").is_dir());

    let file = directory.path().join("file");
    fs::write(&file, "x").expect("a file for the test");
    check(&text(&file), Some("a file stands where the directory"));
    check(&text(&file.join("below")), Some("a file stands where the directory"));
    check(&format!("file://{}", file.join("below").display()), Some("a file stands"));
    // Neither root nor anybody else can make a directory here.
    if Path::new("/proc/self").is_dir() {
        check("/proc/self/snapshots", Some("name another directory"));
        check("/proc/snapshots", Some("name another directory"));
    }
}

#[test]
fn a_directory_without_rights_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory for the test");
    let locked = directory.path().join("locked");
    fs::create_dir(&locked).expect("a directory");
    let rights = |mode| fs::set_permissions(&locked, fs::Permissions::from_mode(mode));
    rights(0o555).expect("rights can be changed");
    // Root may write all the same; then there is nothing to tell.
    let root = fs::write(locked.join("probe"), "").is_ok();
    check(&text(&locked), (!root).then_some("give this user the right"));
    rights(0o755).expect("rights can be changed");
}

#[test]
fn what_a_killed_process_has_left_is_neither_used_nor_kept() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let store = Arc::new(Store::open(&text(directory.path()), None).expect("it opens"));
    let state = State::new(b"head", vec![]);
    save(&store, &state, 10, &[]);
    let folder = directory.path().join(SERVICE).join(PARTITION);
    let staged = |offset: u64, number: u32| folder.join(format!("{offset:020}.snapshot#{number}"));
    let left = [staged(10, 1), staged(20, 1), staged(20, 2), staged(u64::MAX, 13)];
    let others = [folder.join("notes#1"), folder.join(format!("{:020}.snapshot#x", 20))];
    for path in left.iter().chain(&others) {
        fs::write(path, "torn").expect("a file in the folder");
    }
    assert_eq!(offsets(&store), [10]);
    let loaded = load(&store, &subject(), &wanted()).expect("it reads");
    assert_eq!((loaded.kept, loaded.refused), (vec![10], vec![]));
    save(&store, &state, 20, &[10]);
    assert!(left.iter().all(|path| !path.exists()), "leftovers stay");
    assert!(others.iter().all(|path| path.exists()), "what is not a leftover goes");
    assert_eq!(offsets(&store), [20, 10]);
}

#[test]
fn a_file_in_the_way_of_a_partition_is_told_and_does_no_harm() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let store = Arc::new(Store::open(&text(directory.path()), None).expect("it opens"));
    let state = State::new(b"head", vec![]);
    fs::write(directory.path().join(SERVICE), "in the way").expect("a file for the test");
    assert_eq!(common::save_as(&store, &subject(), &state, 10, &[]), []);
    fs::remove_file(directory.path().join(SERVICE)).expect("it is there");
    save(&store, &state, 10, &[]);
    assert_eq!(offsets(&store), [10]);
}
