//! Stories that broke connection managers written the usual way, with the criteria that they should
//! have been held to: nobody is locked out, no healthy connection is closed unless the story asks
//! for it, nothing is left over, and every count is exact.

mod churn;
mod crowd;
mod identity;
mod limits;
mod tabs;
mod time;

use headcount::ConfigBuilder;

use crate::support::config;

/// The limits that the stories were told with: 20 of everything per user.
fn twenty() -> ConfigBuilder {
    config().connections_per_user(20).sessions_per_user(20)
}
