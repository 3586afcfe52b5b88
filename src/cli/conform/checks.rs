//! Which checks there are, in the order of the specification's sections as far as one needs another.

mod application;
mod basics;
mod management;
mod roles;

use super::Check;

/// All of them.
pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "answers",
        section: "6.2",
        rule: "a request is answered by a CGI response and END_REQUEST",
        run: roles::answers,
    },
    Check {
        name: "records",
        section: "3.3",
        rule: "whole records of version 1, of an application's types, under the request's id",
        run: basics::records,
    },
    Check {
        name: "stdout-end",
        section: "3.3",
        rule: "STDOUT is ended by an empty record before END_REQUEST",
        run: basics::stdout_end,
    },
    Check {
        name: "padding",
        section: "3.3",
        rule: "padding of any length is passed over",
        run: basics::padding,
    },
    Check {
        name: "in-pieces",
        section: "3.3",
        rule: "records may come byte by byte",
        run: basics::in_pieces,
    },
    Check {
        name: "largest-id",
        section: "3.3",
        rule: "an id may be as large as 65535",
        run: basics::largest_id,
    },
    Check {
        name: "inactive-id",
        section: "3.3",
        rule: "records of a request that was never begun are ignored",
        run: basics::inactive_id,
    },
    Check {
        name: "version",
        section: "3.3",
        rule: "what is of another version is not served",
        run: basics::version,
    },
    Check {
        name: "long-pairs",
        section: "3.4",
        rule: "names and values of 128 bytes and more have lengths of four bytes",
        run: basics::long_pairs,
    },
    Check {
        name: "pairs-cut",
        section: "3.4",
        rule: "parameters that end within a pair are not served",
        run: basics::pairs_cut,
    },
    Check {
        name: "closes",
        section: "3.5",
        rule: "without KEEP_CONN the connection is closed after END_REQUEST",
        run: basics::closes,
    },
    Check {
        name: "get-values",
        section: "4.1",
        rule: "GET_VALUES is answered at once, by one GET_VALUES_RESULT",
        run: management::values,
    },
    Check {
        name: "get-values-unknown",
        section: "4.1",
        rule: "names that it does not know are left out of it",
        run: management::values_unknown,
    },
    Check {
        name: "unknown-type",
        section: "4.2",
        rule: "a management record of an unknown type is answered by UNKNOWN_TYPE",
        run: management::unknown_type,
    },
    Check {
        name: "unknown-type-then",
        section: "4.2",
        rule: "and the connection goes on",
        run: management::unknown_type_then,
    },
    Check {
        name: "keep-conn",
        section: "5.1",
        rule: "with KEEP_CONN the same id is served again on the same connection",
        run: application::keep_conn,
    },
    Check {
        name: "unknown-role",
        section: "5.1",
        rule: "a role that there is not is refused with UNKNOWN_ROLE",
        run: application::unknown_role,
    },
    Check {
        name: "interleaved",
        section: "5.1",
        rule: "of two requests at once both are served, or one refused with CANT_MPX_CONN",
        run: application::interleaved,
    },
    Check {
        name: "params-in-pieces",
        section: "5.2",
        rule: "a pair may lie across records of PARAMS",
        run: application::params_in_pieces,
    },
    Check {
        name: "params-long",
        section: "5.2",
        rule: "parameters may be longer than a record",
        run: application::params_long,
    },
    Check {
        name: "stdin-in-pieces",
        section: "5.3",
        rule: "a body may come in records of one byte",
        run: application::stdin_in_pieces,
    },
    Check {
        name: "stdin-long",
        section: "5.3",
        rule: "a body may be longer than any buffer, and unread",
        run: application::stdin_long,
    },
    Check {
        name: "abort",
        section: "5.4",
        rule: "ABORT_REQUEST is answered by END_REQUEST",
        run: application::abort,
    },
    Check {
        name: "authorizer",
        section: "6.3",
        rule: "an authorizer answers without any STDIN, or is refused with UNKNOWN_ROLE",
        run: roles::authorizer,
    },
];
