/** What whoever started a bench can put right: a program that is missing, an option that is wrong. Its message says how; a stack would not help. */
export class BenchError extends Error {}
