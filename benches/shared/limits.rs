//! The rate limits, which would end a measurement after ten attempts.

/// The names after `VESTIBULE_LIMIT_`.
pub const LIMITS: [&str; 7] = [
    "LOGIN_IP",
    "LOGIN_ACCOUNT",
    "REGISTER_IP",
    "FORGOT_IP",
    "FORGOT_ACCOUNT",
    "RESET_ACCOUNT",
    "MAIL_ADDRESS",
];
