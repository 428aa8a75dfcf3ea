//! Names on a host, without anybody to ask.

use std::{fs, path::PathBuf};

/// What `ip netns exec` shows to a command as `/etc/hosts`, `/etc/resolv.conf` and `/etc/nsswitch.conf`. Dropped, it is gone.
#[derive(Debug)]
pub struct Resolver {
    folder: PathBuf,
}

impl Resolver {
    pub(super) fn new(namespace: &str, names: &str) -> Self {
        let resolver = Self { folder: PathBuf::from("/etc/netns").join(namespace) };
        fs::create_dir_all(&resolver.folder).expect("a folder for the namespace");
        resolver.set(names);
        let write = |name: &str, text: &str| fs::write(resolver.folder.join(name), text).expect(name);
        // Loopback of the host itself, where nobody answers: also a query that should not be goes nowhere.
        write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
        write("nsswitch.conf", "hosts: files\n");
        resolver
    }

    /// These are the names now. Commands that run see it, for the file stays the same one.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn set(&self, names: &str) {
        fs::write(self.folder.join("hosts"), names).expect("a hosts file");
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        // The folder of folders goes with the last of them; it may have been there before.
        let _ = fs::remove_dir("/etc/netns");
    }
}
