import { spawnSync, type SpawnSyncReturns } from 'node:child_process';

const MARK = 'OWN_NETWORK';
/** The address besides loopback, which Janus offers and Firefox uses for media. */
export const OWN_ADDRESS = '10.99.0.1';
const SET_UP = `ip link set lo up && ip link add own0 type veth peer name own1 && ip addr add ${OWN_ADDRESS}/24 dev own0 && ip link set own0 up && ip link set own1 up && ip route add default via 10.99.0.2`;

/**
 * Janus and Firefox do not use loopback addresses. So this runs the process again in a network namespace with loopback and one more address, which cannot be
 * reached from outside. The calling process waits and exits with the same code.
 *
 * @throws {Error} that says what to install if this is not possible
 */
export function enterOwnNetwork(): void {
  if (process.env[MARK]) return;
  const { status, error } = inOwnNetwork([process.execPath, ...process.argv.slice(1)], 'inherit');
  if (error) throw new Error('A network namespace needs `unshare` and `ip`: apt-get install util-linux iproute2');
  process.exit(status ?? 1);
}

/** Whether this user can create one on this machine. */
export const hasOwnNetwork = (): boolean =>
  process.env[MARK] !== undefined || inOwnNetwork(['true'], 'ignore').status === 0;

function inOwnNetwork(command: readonly string[], stdio: 'inherit' | 'ignore'): SpawnSyncReturns<Buffer> {
  // Without root this works in a user namespace.
  const privileges = process.getuid?.() === 0 ? [] : ['--map-current-user', '--keep-caps'];
  return spawnSync('unshare', [...privileges, '--net', 'sh', '-c', `${SET_UP} && exec "$@"`, 'sh', ...command], {
    stdio,
    env: { ...process.env, [MARK]: '1' },
  });
}
