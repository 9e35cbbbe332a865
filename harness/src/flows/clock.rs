//! Points in time as RFC 3339 text.

/// Nanoseconds since the Unix epoch as RFC 3339 text in UTC, with as many fraction digits as are needed, in
/// threes, as protojson writes timestamps.
///
/// The civil date comes from the day number by the usual era arithmetic: years begin in March, so that the leap
/// day is the last of its year, and 146,097 days make one era of 400 years.
pub(super) fn rfc3339(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // 1. Days since 0000-03-01, split into era, and day in the era.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    // 2. Year in the era, without the leap days that were counted as days.
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // 3. Month counted from March; five months have 153 days.
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let fraction = match nanoseconds % 1_000_000_000 {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => format!(".{:06}", n / 1_000),
        n => format!(".{n:09}"),
    };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;
    use rstest::rstest;

    #[rstest]
    #[case(0, "1970-01-01T00:00:00Z")]
    #[case(1_234_567_800_000, "1970-01-01T00:20:34.567800Z")]
    #[case(951_782_400_000_000_000, "2000-02-29T00:00:00Z")]
    #[case(4_107_542_400_000_000_000, "2100-03-01T00:00:00Z")]
    #[case(1_000_000, "1970-01-01T00:00:00.001Z")]
    #[case(1_798_761_599_000_000_001, "2026-12-31T23:59:59.000000001Z")]
    fn known_dates(#[case] nanoseconds: u64, #[case] text: &str) {
        assert_eq!(rfc3339(nanoseconds), text);
    }
}
