/** An error that the user can correct: a missing program, a wrong option. Printed without a stack. */
export class BenchError extends Error {}
