import { spawnSync, type SpawnSyncReturns } from 'node:child_process';

const MARK = 'OWN_NETWORK';
/** What Janus offers, and what Firefox sends media to and from: where everything but loopback would be reached through. */
export const OWN_ADDRESS = '10.99.0.1';
const SET_UP = `ip link set lo up && ip link add own0 type veth peer name own1 && ip addr add ${OWN_ADDRESS}/24 dev own0 && ip link set own0 up && ip link set own1 up && ip route add default via 10.99.0.2`;

/**
 * Janus and Firefox have no use for addresses of loopback. So this process runs once more in a network of its own, in which loopback and one address more are
 * all there is, and which nobody else can reach; this one waits, and ends as that one does.
 *
 * @throws {Error} that says what to install, where that is not possible
 */
export function enterOwnNetwork(): void {
  if (process.env[MARK]) return;
  const { status, error } = inOwnNetwork([process.execPath, ...process.argv.slice(1)], 'inherit');
  if (error)
    throw new Error('A network of its own takes `unshare` and `ip`. Type: apt-get install util-linux iproute2');
  process.exit(status ?? 1);
}

/** Whether this machine, and whoever is asking, may have one. */
export const hasOwnNetwork = (): boolean =>
  process.env[MARK] !== undefined || inOwnNetwork(['true'], 'ignore').status === 0;

function inOwnNetwork(command: readonly string[], stdio: 'inherit' | 'ignore'): SpawnSyncReturns<Buffer> {
  // Who is not root may do this as long as he stays himself.
  const privileges = process.getuid?.() === 0 ? [] : ['--map-current-user', '--keep-caps'];
  return spawnSync('unshare', [...privileges, '--net', 'sh', '-c', `${SET_UP} && exec "$@"`, 'sh', ...command], {
    stdio,
    env: { ...process.env, [MARK]: '1' },
  });
}
