import { performance } from 'node:perf_hooks'; // the global one is looked up each time

type Task = () => void;

let tasks: Task[] = [];
let lastTask: Task | undefined;
let isScheduled = false;
/** When this turn first asked for the time. */
let timeOfTick: number | undefined;

/**
 * Runs `task` once, when all that this turn of the event loop has brought is dealt with: packets of all streams, what encoders have written.
 * `process.nextTick` would run it after each of these events, and one of its ticks costs more than a whole turn's list here. What a task adds runs in
 * the same turn: a socket that is uncorked in the next one sends a large key frame only after the rest in between (`pacer.ts`).
 */
export function atEndOfTick(task: Task): void {
  tasks.push(task);
  schedule();
}

/** The same, after all others. There is one last task; a second one in the same turn takes its place. */
export function atVeryEndOfTick(task: Task): void {
  lastTask = task;
  schedule();
}

/**
 * Milliseconds of `performance.now()`, read once for all that this turn of the event loop brings: to read the clock costs more than most of what is done with
 * its time.
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
    // Those that tasks add are among them.
    while (done < tasks.length) tasks[done++]!();
    const last = lastTask;
    lastTask = undefined;
    last?.();
  } finally {
    tasks = tasks.slice(done);
    isScheduled = false;
    timeOfTick = undefined;
    // One has thrown, and the others are not to suffer for it; or the last one has added something.
    if (tasks.length > 0 || lastTask) schedule();
  }
}
