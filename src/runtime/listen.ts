import type { EventEmitter } from 'node:events';

type Listeners<Events extends Record<keyof Events, unknown[]>> = {
  readonly [Name in keyof Events]?: (...args: Events[Name]) => void;
};

/** Adds listeners of several events, and returns the function that removes them. */
export function listen<Events extends Record<keyof Events, unknown[]>>(
  emitter: EventEmitter<Events>,
  listeners: NoInfer<Listeners<Events>>,
): () => void {
  const plain = emitter as unknown as EventEmitter;
  const all = Object.entries(listeners) as [string, (...args: unknown[]) => void][];
  for (const [name, listener] of all) plain.on(name, listener);
  return () => {
    for (const [name, listener] of all) plain.off(name, listener);
  };
}
