import { text } from 'node:stream/consumers';
import { EXIT, Failure } from './failure.mjs';
import { kilobits, print, since, table } from './output.mjs';

const STREAM_COLUMNS = {
  STREAM: ({ name }) => name,
  STATE: ({ status }) => status,
  VIDEO: ({ videoCodec }) => videoCodec,
  AUDIO: ({ audioCodec }) => audioCodec,
  PUSHES: ({ transponders }) => transponders,
  SINCE: ({ startedAt }) => since(startedAt),
  NODE: ({ node }) => node,
};
/** The backup server has the stream. */
const isOnBackup = ({ legs: [primary, backup] = [] }) =>
  backup?.status === 'pushing' && primary.status !== 'pushing' && primary.status !== 'connecting';
const PUSH_COLUMNS = {
  ID: ({ mediaSessionId }) => mediaSessionId,
  STREAM: ({ sourceStreamName }) => sourceStreamName,
  TO: ({ destinationId, destination }) => destinationId ?? destination,
  STATE: (push) => (isOnBackup(push) ? `${push.status} (backup)` : push.status),
  BITRATE: ({ bitrate }) => kilobits(bitrate),
  SINCE: ({ startedAt }) => since(startedAt),
  REASON: ({ reason, legs: [primary] = [] }) => reason || primary?.reason,
};
const GROUP_COLUMNS = {
  DESTINATION: ({ name }) => name,
  STATE: ({ status, level }) => status ?? level,
  REASON: ({ reason, verdicts = [] }) => reason ?? worst(verdicts),
};
const VERDICT_COLUMNS = {
  LEVEL: ({ level }) => level,
  CHECK: ({ check }) => check,
  MEASURED: ({ measured }) => measured,
  REMEDY: ({ remedy }) => remedy,
};

const worst = (verdicts) => {
  const found = verdicts.find(({ level }) => level === 'error') ?? verdicts.find(({ level }) => level === 'warning');
  return found && `${found.check}: ${found.measured}. ${found.remedy}`;
};

/** @param {import('commander').Command & Record<string, any>} cli */
export function addPushCommands(cli) {
  const streams = cli.command('streams').description('live streams');
  streams
    .command('list', { isDefault: true })
    .description('live streams')
    .action(() => cli.list('api/v1/streams', STREAM_COLUMNS, 'streams'));
  streams
    .command('end <stream>')
    .description('end a stream with its pushes')
    .action(async (name) => cli.api().post('rest-api/stream/terminate', { name }));

  const push = cli.command('push').description('pushes of streams to RTMP servers');
  target(push.command('start <stream>').description('push a live stream'))
    .option('--no-check', 'with --group: start all without checking them first')
    .action(async (streamName, options) => {
      const body = {
        streamName,
        ...(await orderOf(options)),
        ...(options.group && !options.check && { check: false }),
      };
      const started = await cli.api().post('rest-api/push/startup', body);
      print(cli.json(), started, () =>
        Array.isArray(started)
          ? table(started, GROUP_COLUMNS, 'destinations')
          : table([started], PUSH_COLUMNS, 'pushes'),
      );
      if (Array.isArray(started) && started.some(({ status }) => status === 'refused')) cli.finish(EXIT.refused);
    });
  target(
    push.command('check <stream>').description('check the stream and the way to the server; nothing goes live'),
  ).action(async (streamName, options) => {
    const found = await cli.api().post('rest-api/push/check', { streamName, ...(await orderOf(options)) });
    const columns = options.group ? GROUP_COLUMNS : VERDICT_COLUMNS;
    print(cli.json(), found, () => table(found, columns, 'verdicts'));
    if (found.some(({ level }) => level === 'error')) cli.finish(EXIT.unhealthy);
  });
  push
    .command('list [stream]', { isDefault: true })
    .description('pushes that run')
    .option('--ended', 'those that have ended, with their reasons')
    .action(async (stream, { ended }) => {
      const all = await cli.api().ask(`api/v1/transponders${ended ? '?ended=true' : ''}`);
      const found = stream === undefined ? all : all.filter(({ sourceStreamName }) => sourceStreamName === stream);
      print(cli.json(), found, () => table(found, PUSH_COLUMNS, 'pushes'));
    });
  push
    .command('stop [id]')
    .description('end a push by its id, or those of a group')
    .option('--stream <stream>', 'with --group: the stream')
    .option('--group <id>', 'the pushes of the stream that were started with this group')
    .action(async (mediaSessionId, { stream: streamName, group: groupId }) => {
      if ((mediaSessionId === undefined) === (groupId === undefined))
        throw new Failure(EXIT.usage, 'Name either a push by its id, or --stream and --group.');
      await cli.api().post('rest-api/push/terminate', mediaSessionId ? { mediaSessionId } : { streamName, groupId });
    });
}

/** Where a push goes, and how. @param {import('commander').Command} command */
export function target(command, { saved = true } = {}) {
  if (saved)
    command
      .option('--destination <id>', 'a saved destination')
      .option('--group <id>', 'all saved destinations of a group');
  return command
    .option('--to <url>', 'an RTMP URL; "-": read from the standard input, so that its key is in no list of processes')
    .option(
      '--platform <id>',
      'a platform such as youtube; its stream key is read from STREAM_KEY or the standard input',
    )
    .option('--full-url', 'the URL ends with the name of the stream, or its key')
    .option('--backup', "also push to the platform's backup server")
    .option('--standby', 'keep the push alive while the publisher is away')
    .option('--comply', 're-encode the stream while it breaks rules of the platform')
    .option('--height <pixels>', 'transcode to this height');
}

/** The fields of /push/startup. @param {Record<string, any>} options */
export async function orderOf(options) {
  const { to, platform, destination, group, fullUrl, backup, standby, comply, height } = options;
  const targets = [to, platform, destination, group].filter((value) => value !== undefined);
  if (targets.length > 1) throw new Failure(EXIT.usage, 'Name one of --to, --platform, --destination and --group.');
  return {
    ...(to !== undefined && { rtmpUrl: to === '-' ? await standardInput() : to }),
    ...(platform && { platform, streamKey: process.env.STREAM_KEY ?? (await standardInput()) }),
    ...(destination && { destinationId: destination }),
    ...(group && { groupId: group }),
    ...(fullUrl && { rtmpTransponderFullUrl: true }),
    ...(backup && { backup }),
    ...(standby && { standby }),
    ...(comply && { comply: 'auto' }),
    ...(height && { height }),
  };
}

export async function standardInput() {
  if (process.stdin.isTTY) process.stderr.write('URL or stream key, then Ctrl-D: ');
  return (await text(process.stdin)).trim();
}
