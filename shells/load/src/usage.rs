//! What another process has used, as Linux tells it.

use std::fs;
use std::io;
use std::time::Duration;

/// The time that all threads of a process have run so far. That of threads which have ended is not in it.
///
/// Exact once the process sleeps: a thread that runs is counted up to its last tick.
///
/// # Errors
/// The process has ended, or the system has no `/proc` with `schedstat`.
pub fn cpu(process: u32) -> io::Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let times = fs::read_to_string(thread?.path().join("schedstat"))?;
        let run = times.split_whitespace().next().and_then(|nanos| nanos.parse::<u64>().ok());
        nanos += run.ok_or_else(|| io::Error::other("schedstat has another form"))?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Bytes of memory of a process that are resident and no file's: heap and stacks.
///
/// # Errors
/// The process has ended, or the system has no `/proc`.
pub fn resident_bytes(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kib.ok_or_else(|| io::Error::other("status has no RssAnon"))? * 1_024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_time_and_memory() {
        let me = std::process::id();
        let before = (cpu(me).unwrap(), resident_bytes(me).unwrap());
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let grown = resident_bytes(me).unwrap() - before.1;
        assert!(grown >= 60 << 20, "{grown}");
        drop(block);
        while cpu(me).unwrap() <= before.0 {}
        assert!(cpu(u32::MAX).is_err());
    }
}
