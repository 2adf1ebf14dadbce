/** Milliseconds of processor time that a synchronous function takes. It does not grow when other processes run. */
export function processorMs(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
