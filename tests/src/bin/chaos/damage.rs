//! Damage to the snapshots that lie in the shared folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::dice::Dice;

/// Damages some of a service's snapshots; says what was done.
pub(crate) fn damage(folder: &Path, service: &str, dice: &mut Dice) -> Vec<String> {
    let mut files = vec![];
    collect(&folder.join(service), &mut files);
    files.sort();
    if files.is_empty() {
        return vec![];
    }
    if dice.happens(0.1) {
        // All that there is of one partition.
        let folder = dice.choose(&files).and_then(|file| file.parent()).map(Path::to_path_buf);
        files.retain(|file| file.parent() == folder.as_deref());
        return files
            .iter()
            .filter_map(|file| told("deleted", file, fs::remove_file(file)))
            .collect();
    }
    // The newest are those that matter: names are offsets.
    let newest = files.len().saturating_sub(6);
    (0..dice.within(1, 2)).filter_map(|_| spoil(dice.choose(&files[newest..])?, dice)).collect()
}

fn spoil(file: &Path, dice: &mut Dice) -> Option<String> {
    let (what, done) = match dice.within(0, 3) {
        0 => ("deleted", fs::remove_file(file)),
        1 => ("cut off", change(file, |bytes| bytes.truncate(bytes.len() / 2))),
        2 => ("emptied", change(file, Vec::clear)),
        _ => {
            let at = dice.next() as usize;
            let flip = |bytes: &mut Vec<u8>| {
                let at = at % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 0x10;
                }
            };
            ("flipped a bit of", change(file, flip))
        }
    };
    told(what, file, done)
}

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
    let mut bytes = fs::read(file)?;
    change(&mut bytes);
    fs::write(file, bytes)
}

/// One that is gone meanwhile was pruned.
fn told(what: &str, file: &Path, done: io::Result<()>) -> Option<String> {
    done.ok().map(|()| format!("{what} {}", file.display()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "snapshot") {
            files.push(path);
        }
    }
}
