/** Something that is closed once; `close` may be asynchronous. */
export interface Closable {
  readonly close: () => unknown;
}

/**
 * Closes the parts one after the other, in their order, and skips none when one fails.
 *
 * @throws {Error} the failure, or an AggregateError of all failures
 */
export async function closeAll(parts: readonly Closable[]): Promise<void> {
  const failures: unknown[] = [];
  for (const part of parts) {
    try {
      await part.close();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures, `${failures.length} parts could not be closed`);
}
