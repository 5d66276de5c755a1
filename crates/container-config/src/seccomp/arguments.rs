//! Filters of arguments: `[index,value,op]` and `[index,value,op,mask]`.

use super::{ArgumentFilter, Comparison};
use crate::error::printable;

/// Reads filters, separated by blanks or nothing, up to the end or a comment.
pub(super) fn filters(mut text: &str) -> Result<Vec<ArgumentFilter>, String> {
    let mut filters: Vec<ArgumentFilter> = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() || text.starts_with('#') {
            return Ok(filters);
        }
        let Some(rest) = text.strip_prefix('[') else {
            return Err(expected(text));
        };
        let Some((inside, rest)) = rest.split_once(']') else {
            return Err(format!(
                "expected a closing bracket, found “{}”",
                printable(text)
            ));
        };
        let filter = filter(inside)?;
        if filters.iter().any(|other| other.index == filter.index) {
            return Err(format!(
                "expected one filter for each argument, found a second one for argument {}; \
                 several conditions on one argument are several lines",
                filter.index
            ));
        }
        filters.push(filter);
        text = rest;
    }
}

fn expected(found: &str) -> String {
    format!(
        "expected an action (kill, errno N, trap, allow, log or notify) and then filters like \
         [index,value,op] or [index,value,op,mask], found “{}”",
        printable(found.trim_end())
    )
}

fn filter(inside: &str) -> Result<ArgumentFilter, String> {
    let parts: Vec<&str> = inside.split(',').map(str::trim).collect();
    let (index, value, op, mask) = match parts[..] {
        [index, value, op] => (index, value, op, None),
        [index, value, op, mask] => (index, value, op, Some(mask)),
        _ => {
            return Err(format!(
                "expected [index,value,op] or [index,value,op,mask], found “[{}]”",
                printable(inside)
            ));
        }
    };
    let number = |what: &str, text: &str| {
        c_integer(text).ok_or_else(|| {
            format!(
                "expected a number as {what} (17, 0x11 or 021), found “{}”",
                printable(text)
            )
        })
    };
    let index = match c_integer(index) {
        Some(index @ 0..=5) => index as u8,
        _ => {
            return Err(format!(
                "expected 0 to 5 as the argument's index, found “{}”",
                printable(index)
            ));
        }
    };
    let mask = mask.map(|mask| number("mask", mask)).transpose()?;
    Ok(ArgumentFilter {
        index,
        value: number("value", value)?,
        comparison: comparison(op, mask)?,
    })
}

fn comparison(op: &str, mask: Option<u64>) -> Result<Comparison, String> {
    let plain = match op {
        "SCMP_CMP_NE" | "!=" => Comparison::NotEqual,
        "SCMP_CMP_LT" | "<" => Comparison::Less,
        "SCMP_CMP_LE" | "<=" => Comparison::LessOrEqual,
        "SCMP_CMP_EQ" | "==" => Comparison::Equal,
        "SCMP_CMP_GE" | ">=" => Comparison::GreaterOrEqual,
        "SCMP_CMP_GT" | ">" => Comparison::Greater,
        "SCMP_CMP_MASKED_EQ" | "&=" => {
            return mask.map(Comparison::MaskedEqual).ok_or_else(|| {
                format!("expected a mask behind {op}, as in [1,2,SCMP_CMP_MASKED_EQ,2]")
            });
        }
        _ => {
            return Err(format!(
                "expected SCMP_CMP_NE, _LT, _LE, _EQ, _GE, _GT or _MASKED_EQ, or != < <= == >= > \
                 &= as the comparison, found “{}”",
                printable(op)
            ));
        }
    };
    match mask {
        None => Ok(plain),
        Some(_) => Err(format!("expected no mask behind {op}: only &= has one")),
    }
}

/// A number as C writes it: decimal, `0x…` or `0…`; a minus sign means the two's complement.
fn c_integer(text: &str) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.strip_prefix("0x") {
        Some(hex) => (16, hex),
        None if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        None => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_c_writes_them() {
        for (text, number) in [
            ("17", 17),
            ("0x11", 17),
            ("0X1f", 31),
            ("021", 17),
            ("0", 0),
            ("-1", u64::MAX),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(c_integer(text), Some(number), "{text}");
        }
        for wrong in [
            "",
            "-",
            "0x",
            "08",
            "+1",
            "1 2",
            "18446744073709551616",
            "CLONE",
        ] {
            assert_eq!(c_integer(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_comparison() {
        for (text, comparison) in [
            ("[0,1,SCMP_CMP_NE]", Comparison::NotEqual),
            ("[0,1,SCMP_CMP_LT]", Comparison::Less),
            ("[0,1,SCMP_CMP_LE]", Comparison::LessOrEqual),
            ("[0,1,SCMP_CMP_EQ]", Comparison::Equal),
            ("[0,1,SCMP_CMP_GE]", Comparison::GreaterOrEqual),
            ("[0,1,SCMP_CMP_GT]", Comparison::Greater),
            (
                "[0,1,SCMP_CMP_MASKED_EQ,0xff]",
                Comparison::MaskedEqual(255),
            ),
            ("[0,1,!=]", Comparison::NotEqual),
            ("[0,1,<]", Comparison::Less),
            ("[0,1,<=]", Comparison::LessOrEqual),
            ("[0,1,==]", Comparison::Equal),
            ("[0,1,>=]", Comparison::GreaterOrEqual),
            ("[0,1,>]", Comparison::Greater),
            ("[ 0, 1, &=, 255 ]", Comparison::MaskedEqual(255)),
        ] {
            let filter = ArgumentFilter {
                index: 0,
                comparison,
                value: 1,
            };
            assert_eq!(filters(text), Ok(vec![filter]), "{text}");
        }
        assert_eq!(filters("[0,1,==][1,2,>] [5,3,<] # why").unwrap().len(), 3);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("[0,1]", "expected [index,value,op]"),
            ("[0,1,==,1,1]", "expected [index,value,op]"),
            ("[6,1,==]", "0 to 5"),
            ("[-1,1,==]", "0 to 5"),
            ("[x,1,==]", "0 to 5"),
            ("[0,y,==]", "as value"),
            ("[0,1,&=,z]", "as mask"),
            ("[0,1,&=]", "expected a mask"),
            ("[0,1,==,1]", "no mask"),
            ("[0,1,=]", "as the comparison"),
            ("[0,1,==", "closing bracket"),
            ("[0,1,==] foo", "expected an action"),
            ("[0,1,==][0,2,==]", "a second one for argument 0"),
        ] {
            let error = filters(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
