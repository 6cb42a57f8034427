//! Builds without planted bugs: every build but that of `cargo xtask mutants`.

/// Whether a planted bug was chosen for this run: no. The name is not even looked at.
#[doc(hidden)]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
    ($bug:ident: $bad:expr) => {};
    ($bug:ident: $bad:expr, else $good:expr) => {
        $good
    };
}

// An array as long as there are bugs: what stands behind them is a constant `false`, and a name that nobody planted
// shows that no list of them is there.
const _: [(); 0] = [();
    planted!(NobodyPlantedThis: nobody_wrote_this(), else planted!(NobodyPlantedThis)) as usize];
