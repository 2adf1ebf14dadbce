import type { GatewayError } from '../errors.ts';
import type { StreamRegistry } from '../streams/stream-registry.ts';
import type { Output } from './output.ts';
import { inBackground } from '../runtime/in-background.ts';

export interface OutputSetEvents<O extends Output> {
  /** Called for every change of an output. An output that has ended is no longer in the set by then. */
  readonly changed: (output: O) => void;
}

/** The outputs of one kind that have not ended. They end with their live stream, unless they outlive it. */
export class OutputSet<O extends Output> {
  readonly #outputs = new Map<string, O>();
  /** Outputs that have ended and still hold something, with their stream. */
  readonly #closing = new Map<Promise<void>, string>();
  readonly #events: OutputSetEvents<O>;

  constructor(registry: StreamRegistry, events: OutputSetEvents<O>) {
    this.#events = events;
    registry.on('ended', ({ name }, reason) =>
      this.#stopAll((output) => output.streamName === name && !output.outlivesStream, reason),
    );
  }

  /** Adds an output that has just been started. */
  add(output: O): void {
    this.#outputs.set(output.id, output);
    output.on('change', () => {
      if (output.status === 'ended' && this.#outputs.delete(output.id)) this.#awaitClose(output);
      this.#events.changed(output);
    });
  }

  get(id: string): O | undefined {
    return this.#outputs.get(id);
  }

  list(): O[] {
    return [...this.#outputs.values()];
  }

  /** Ends all outputs and waits until they have released everything, those included that had ended before. */
  async close(reason: GatewayError): Promise<void> {
    this.#stopAll(() => true, reason);
    await Promise.all(this.#closing.keys());
  }

  /** Waits until the outputs of the stream that have ended have released everything. */
  async closed(streamName: string): Promise<void> {
    await Promise.all([...this.#closing].filter(([, name]) => name === streamName).map(([closed]) => closed));
  }

  #stopAll(matches: (output: O) => boolean, reason: GatewayError): void {
    for (const output of this.list()) if (matches(output)) inBackground(output.stop(reason));
  }

  #awaitClose(output: O): void {
    const closed = new Promise<void>((resolve) => output.once('closed', resolve)).then(
      () => void this.#closing.delete(closed),
    );
    this.#closing.set(closed, output.streamName);
  }
}
