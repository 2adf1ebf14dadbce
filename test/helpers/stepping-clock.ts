import { readFileSync } from 'node:fs';

/**
 * Preloaded into a gateway: its wall clock is off by the milliseconds in the file of `CLOCK_OFFSET_FILE`, and steps when
 * the file changes.
 */
const file = process.env['CLOCK_OFFSET_FILE'];

if (file) {
  let offsetMs = 0;
  setInterval(() => {
    offsetMs = Number(readFileSync(file, 'utf8')) || 0;
  }, 100).unref();
  const RealDate = Date;
  const now = (): number => RealDate.now() + offsetMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args: unknown[], made) => Reflect.construct(target, args.length > 0 ? args : [now()], made),
    get: (target, key, receiver) => (key === 'now' ? now : Reflect.get(target, key, receiver)),
  });
}
