import { performance } from 'node:perf_hooks'; // the global one is looked up on every use

type Task = () => void;

let tasks: Task[] = [];
let isScheduled = false;
/** When the time was first asked for in this tick. */
let timeOfTick: number | undefined;

/**
 * Runs `task` once, after all events of this event-loop tick: packets of all streams, output of encoders.
 * `process.nextTick` would run it after each of these events, and one of its ticks costs more than the list of a whole
 * tick here. Tasks that a task adds run in the same tick.
 */
export function atEndOfTick(task: Task): void {
  tasks.push(task);
  schedule();
}

/**
 * Milliseconds of `performance.now()`, read once per event-loop tick: reading the clock costs more than most of what is
 * done with the time.
 */
export function tickMs(): number {
  if (timeOfTick === undefined) {
    timeOfTick = performance.now();
    schedule();
  }
  return timeOfTick;
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(end);
}

function end(): void {
  let done = 0;
  try {
    // Includes the tasks that tasks add.
    while (done < tasks.length) tasks[done++]!();
  } finally {
    tasks = tasks.slice(done);
    isScheduled = false;
    timeOfTick = undefined;
    // A task has thrown; the others still run.
    if (tasks.length > 0) schedule();
  }
}
