// Package tools is the command line of duelogctl: one file and one test per
// verb, and the frame that all of them share.
//
// # Promises
//
// Reading. A verb writes only if its help says so. The others open nothing for
// writing, take no lock and leave no file behind. They work on a store that a
// broker has open, on a copy from another machine, and on what is left of one.
//
// A store in use changes under the reader. A verb therefore reads the MANIFEST
// once, looks at the files that it names, and takes it as normal that a file
// which the MANIFEST has given up meanwhile is gone, and that what was written
// last is not complete yet.
//
// Output. Results go to standard output in the form of --output: a table for
// people, and json, jsonl, csv and yaml with the same columns for programs. A
// column keeps its name and meaning for good; new ones are added at the end.
// Notes, progress and errors go to standard error. Colour and progress bars are
// for terminals only, and colour never if NO_COLOR is set.
//
// Errors. An error says what was being done, to which file, and what to do
// next. See ExitOK and the others for the exit codes.
//
// Memory does not grow with the store: rows are printed as they are found, and
// where things must be brought together it says in the verb's own file how.
//
// # For whoever adds a verb
//
// A verb is a function that takes the *env and returns a *cobra.Command. List it
// in verbs (command.go). Print with env.table and env.note, return errors made
// with usagef, hint or errFindings, and read time only from env.now.
package tools
