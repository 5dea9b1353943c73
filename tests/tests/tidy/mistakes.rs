//! The list of known mistakes keeps up with the source: each text that a mistake is made in stands in its file once.
//! Whether the mistakes are caught takes an hour to see (`./dev mistakes`), whether they can be made takes none.

use std::{collections::BTreeSet, fs};

use toml::{Table, Value};

/// The faults of a list; `read` gives the text of a file.
fn faults(list: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let list: Table = match list.parse() {
        Ok(list) => list,
        Err(error) => return vec![error.to_string()],
    };
    let mistakes = list.get("mistakes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (mut names, mut faults) = (BTreeSet::new(), Vec::new());
    for mistake in mistakes {
        let of = |key: &str| mistake.get(key).and_then(Value::as_str).unwrap_or_default();
        let (name, file, old) = (of("name"), of("file"), of("old"));
        if !names.insert(name) {
            faults.push(format!("{name}: twice in the list"));
        }
        match read(file).map(|text| text.matches(old).count()) {
            None => faults.push(format!("{name}: there is no file {file:?}")),
            Some(1) if old != of("new") => {}
            Some(1) => faults.push(format!("{name}: it changes nothing")),
            Some(times) => faults.push(format!("{name}: {file} has its text {times} times")),
        }
    }
    faults
}

#[test]
fn each_mistake_can_be_made_in_one_place() {
    let root = super::root();
    let list = fs::read_to_string(root.join("tests/mistakes.toml")).expect("the list can be read");
    super::none(faults(&list, |file| fs::read_to_string(root.join(file)).ok()));
    assert!(list.matches("[[mistakes]]").count() > 20, "the list has become short");
}

#[test]
fn planted_mistakes_are_found() {
    let check = |list: &str, named: &str| {
        let text = "one, two, two".to_owned();
        super::one(faults(list, |file| (file == "a.rs").then(|| text.clone())), named);
    };
    let mistake = |name: &str, file: &str, old: &str, new: &str| {
        format!("[[mistakes]]\nname = {name:?}\nfile = {file:?}\nold = {old:?}\nnew = {new:?}\n")
    };
    let good = mistake("good", "a.rs", "one", "three");
    let with = |bad: &str| format!("{good}{bad}");
    check(&with(&mistake("gone", "a.rs", "four", "")), "gone: a.rs has its text 0 times");
    check(&with(&mistake("vague", "a.rs", "two", "")), "vague: a.rs has its text 2 times");
    check(&with(&mistake("nowhere", "b.rs", "one", "")), "nowhere: there is no file \"b.rs\"");
    check(&with(&mistake("nothing", "a.rs", "one", "one")), "nothing: it changes nothing");
    check(&with(&good), "good: twice");
}
