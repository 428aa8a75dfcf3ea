//! Replays the corpora that fuzzing left, so that what it found once is found again by an ordinary test.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test that fails should fail loudly")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use talkie_fuzz_targets::{TARGETS, Target};

/// Of one target, so that the repository stays small.
const MOST_FILES: usize = 100;
const MOST_BYTES: usize = 100 * 1024;

fn folder(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(of)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = folder("corpus").join(target.name);
    names(&folder).into_iter().map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}

fn run(target: &Target, data: &[u8], what: &str) {
    if let Err(panic) = std::panic::catch_unwind(|| (target.run)(data)) {
        println!("{} fails with {what}: {data:?}", target.name);
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn what_is_kept_is_small_and_holds() {
    let mut failed = BTreeSet::new();
    for target in TARGETS {
        let inputs = corpus(target);
        assert!((1..=MOST_FILES).contains(&inputs.len()), "{}: {} files", target.name, inputs.len());
        let bytes: usize = inputs.iter().map(|(_, data)| data.len()).sum();
        assert!(bytes <= MOST_BYTES, "{}: {bytes} bytes", target.name);
        // All targets, whichever fails: one defect often shows in several.
        let holds =
            |(name, data): &(String, Vec<u8>)| std::panic::catch_unwind(|| run(target, data, name)).is_ok();
        if !inputs.iter().all(holds) {
            failed.insert(target.name);
        }
    }
    assert!(failed.is_empty(), "{} of {} targets fail: {failed:?}", failed.len(), TARGETS.len());
}

/// Each with a few changes by chance, and some that are nothing but chance.
#[test]
fn what_is_near_it_holds() {
    let seed = std::env::var("TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    for target in TARGETS {
        for (name, data) in corpus(target) {
            for _ in 0..10 {
                let mut data = data.clone();
                for _ in 0..random.usize(1..4) {
                    let at = random.usize(0..=data.len());
                    match random.u8(0..3) {
                        0 if at < data.len() => data[at] = random.u8(..),
                        1 => data.insert(at, random.u8(..)),
                        _ => data.truncate(at),
                    }
                }
                run(target, &data, &format!("{name} changed, TEST_SEED={seed}"));
            }
        }
        for _ in 0..100 {
            let data: Vec<u8> = (0..random.usize(0..80)).map(|_| random.u8(..)).collect();
            run(target, &data, &format!("TEST_SEED={seed}"));
        }
    }
}

#[test]
fn every_target_is_built_by_cargo_fuzz_and_documented() {
    let listed: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let files: BTreeSet<String> =
        names(&folder("fuzz_targets")).iter().map(|file| file.trim_end_matches(".rs").to_owned()).collect();
    assert_eq!(files, listed);
    assert_eq!(names(&folder("corpus")), listed);
    let (manifest, readme) =
        (fs::read_to_string(folder("Cargo.toml")).unwrap(), fs::read_to_string(folder("README.md")).unwrap());
    for name in listed {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} is missing in Cargo.toml");
        assert!(readme.contains(&format!("| `{name}` |")), "{name} is missing in README.md");
        let line =
            format!("libfuzzer_sys::fuzz_target!(|data: &[u8]| talkie_fuzz_targets::{name}::run(data));\n");
        let file = fs::read_to_string(folder("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert_eq!(file, format!("#![no_main]\n\n{line}"));
    }
}
