import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Simulation, type SimulationOptions, type SimulationResult } from './cluster-simulation.ts';

interface Order {
  readonly options: SimulationOptions;
  readonly faults: number;
}

/**
 * Runs a simulation in a thread of its own. In the thread of the tests, tap follows every promise, which takes twice as long as the
 * simulation itself.
 */
export async function simulateCluster(options: SimulationOptions, faults: number): Promise<SimulationResult> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { options, faults } satisfies Order });
  const [[result]] = (await Promise.all([once(worker, 'message'), once(worker, 'exit')])) as [
    [SimulationResult],
    unknown,
  ];
  return result;
}

if (!isMainThread) {
  const { options, faults } = workerData as Order;
  parentPort!.postMessage(await new Simulation(options).run(faults));
}
