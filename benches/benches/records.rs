//! Sealing and opening records. 64 KiB are two of them, as on a link: a record holds 65,519 bytes.

use std::cell::RefCell;
use std::fmt;

use divan::Bencher;
use divan::counter::BytesCount;
use talkie_transport::proto::cipher::{Cipher, LinkKey};
use talkie_transport::proto::open::Open;
use talkie_transport::proto::record::{HEADER, MAX_CONTENT, TAG};
use talkie_transport::proto::seal::Seal;

/// What is sealed, and how.
#[derive(Clone, Copy)]
struct Case {
    cipher: Cipher,
    bytes: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cipher, bytes } = self;
        write!(f, "{cipher:?}, {bytes} B")
    }
}

fn cases() -> impl Iterator<Item = Case> {
    let sizes = [64, 1024, 64 * 1024];
    let ciphers = [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm];
    ciphers.into_iter().flat_map(move |cipher| sizes.map(|bytes| Case { cipher, bytes }))
}

fn key() -> LinkKey {
    [7; 32].into()
}

/// As a link's writer does it: each record in its place, in memory that is used again.
fn seal_all(seal: &mut Seal, content: &[u8], wire: &mut Vec<u8>) {
    for part in content.chunks(MAX_CONTENT) {
        seal.seal(part, wire).unwrap();
    }
}

#[divan::bench(args = cases(), sample_size = 16)]
fn seal(bencher: Bencher<'_, '_>, case: Case) {
    let mut seal = Seal::new(case.cipher, &key()).unwrap();
    let content = vec![1; case.bytes];
    let mut wire = Vec::with_capacity(case.bytes + 2 * (HEADER + TAG));
    bencher.counter(BytesCount::new(case.bytes)).bench_local(|| {
        wire.clear();
        seal_all(&mut seal, divan::black_box(&content), &mut wire);
        wire.len()
    });
}

#[divan::bench(args = cases(), sample_size = 16)]
fn open(bencher: Bencher<'_, '_>, case: Case) {
    // Both count records, so each is opened once and in the order in which it was sealed.
    let seal = RefCell::new(Seal::new(case.cipher, &key()).unwrap());
    let mut open = Open::new(case.cipher, &key()).unwrap();
    let content = vec![1; case.bytes];
    bencher
        .counter(BytesCount::new(case.bytes))
        .with_inputs(|| {
            let mut wire = Vec::new();
            seal_all(&mut seal.borrow_mut(), &content, &mut wire);
            wire
        })
        .bench_local_refs(|wire| {
            let mut plain = 0;
            for record in wire.chunks_mut(HEADER + MAX_CONTENT + TAG) {
                plain += open.open(&mut record[HEADER..]).unwrap();
            }
            assert_eq!(plain, case.bytes);
        });
}
