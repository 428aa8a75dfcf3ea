//! The machine that measures, and what of it spoils a figure.

use std::fs;
use std::thread;
use std::time::Duration;

use serde::Serialize;

/// What a reader of a figure should know of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Host {
    /// The processor's name, as it tells it.
    pub processor: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// Kernel, such as `Linux 6.18.0`.
    pub kernel: String,
    /// The frequency governor of the first processor, where there is one.
    pub governor: Option<String>,
}

/// What the processors of the machine did in a span of time, in ticks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    busy: u64,
    stolen: u64,
    all: u64,
}

/// How much others may use the machine before a figure suffers: a tenth of its processors.
const BUSY: f64 = 0.1;

/// A hypervisor that takes more than this away shows in the tail.
const STOLEN: f64 = 0.02;

/// A span in which each of two processors has 40 ticks.
const LOOK: Duration = Duration::from_millis(400);

impl Host {
    /// Looks at this machine.
    pub fn look() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: name.map_or("unknown processor", |(_, name)| name.trim()).to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            kernel: format!("{} {release}", read("/proc/sys/kernel/ostype").unwrap_or_default()),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        }
    }

    /// One line for people.
    pub fn words(&self) -> String {
        let cores = if self.cores == 1 { "1 core".to_owned() } else { format!("{} cores", self.cores) };
        format!("{}, {cores}, {}", self.processor, self.kernel)
    }

    /// What spoils a figure that is measured now with so many processes: a debug build (of this crate, and so of the
    /// program that it is part of), a busy machine, a governor that saves power, fewer processors than processes. Takes
    /// 0.4 s, in which the caller should do nothing. One line each, without a full stop.
    pub fn warnings(&self, processes: usize) -> Vec<String> {
        let before = Load::now();
        thread::sleep(LOOK);
        let load = Load::now().since(&before);
        let mut warnings = Vec::new();
        if cfg!(debug_assertions) {
            warnings.push("this is a debug build, which says nothing of speed".to_owned());
        }
        if load.busy() > BUSY {
            let percent = load.busy() * 100.0;
            warnings.push(format!("the machine was {percent:.0} % busy with something else before it began"));
        }
        if let Some(governor) = self.governor.as_deref().filter(|governor| *governor != "performance") {
            warnings.push(format!(
                "the CPU governor is {governor:?}; `performance` gives figures that can be repeated"
            ));
        }
        if processes > self.cores {
            let cores = self.cores;
            warnings.push(format!(
                "{processes} processes share {cores} cores, so a figure includes waiting for a core"
            ));
        }
        warnings.extend(load.stolen_words());
        warnings
    }
}

impl Load {
    /// A reading; two make a span.
    pub fn now() -> Self {
        Self::read(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// From proc(5): user, nice, system, idle, iowait, irq, softirq, steal.
    fn read(stat: &str) -> Self {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
        let part = |at: usize| ticks.get(at).copied().unwrap_or_default();
        let all: u64 = ticks.iter().sum();
        Self { busy: all - part(3) - part(4) - part(7), stolen: part(7), all }
    }

    /// The span since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            busy: self.busy.saturating_sub(earlier.busy),
            stolen: self.stolen.saturating_sub(earlier.stolen),
            all: self.all.saturating_sub(earlier.all),
        }
    }

    /// Which part of all processors was busy, 0 to 1.
    pub fn busy(&self) -> f64 {
        self.part(self.busy)
    }

    /// A warning where a hypervisor gave much of the span's processor time to others.
    pub fn stolen_words(&self) -> Option<String> {
        let stolen = self.part(self.stolen);
        let percent = stolen * 100.0;
        (stolen > STOLEN).then(|| format!("the hypervisor took {percent:.0} % of the processors for others"))
    }

    fn part(&self, ticks: u64) -> f64 {
        ticks as f64 / self.all.max(1) as f64
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_knows_what_was_busy_and_stolen() {
        let before = Load::read("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1 1 1\n");
        let after = Load::read("cpu  130 0 110 1040 10 5 5 100 0 0\n");
        let span = after.since(&before);
        assert_eq!((span.busy, span.stolen, span.all), (50, 100, 400));
        assert!(span.stolen_words().unwrap().contains("25 %"));
        assert_eq!(before.since(&before).busy(), 0.0);
        assert_eq!(Load::read("nonsense").all, 0);
    }

    #[test]
    fn the_machine_is_looked_at_and_a_debug_build_warned_of() {
        let host = Host { governor: Some("powersave".to_owned()), cores: 1, ..Host::look() };
        assert!(!host.processor.is_empty() && host.kernel.starts_with("Linux "));
        let warnings = host.warnings(5).join("\n");
        for word in ["powersave", "5 processes share 1 cores"] {
            assert!(warnings.contains(word), "{warnings}");
        }
        assert_eq!(warnings.contains("debug build"), cfg!(debug_assertions));
    }
}
