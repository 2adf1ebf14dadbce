import { print, since } from './output.mjs';
import { standardInput } from './push.mjs';

const COLUMNS = {
  ID: ({ callId }) => callId,
  CALLEE: ({ callee }) => callee,
  STATE: ({ status }) => status,
  STREAM: ({ streamName }) => streamName,
  SINCE: ({ createdAt }) => since(createdAt),
  REASON: ({ reason }) => reason,
};

/** @param {import('commander').Command & Record<string, any>} cli */
export function addCallCommands(cli) {
  const call = cli.command('call').description('telephone calls as streams');
  call
    .command('start <callee>')
    .description('call a number; the password of the account is read from SIP_PASSWORD')
    .option('--id <id>', 'the id of the call; random by default')
    .option('--stream <stream>', 'the stream that the call becomes; the id by default')
    .option('--to <url>', 'push it to this RTMP URL; "-": read from the standard input')
    .option('--login <user>', 'the SIP account')
    .option('--domain <host>', 'the domain of the SIP account')
    .option('--video', 'with video')
    .action(async (callee, { id = crypto.randomUUID(), stream = id, to, login, domain, video }) => {
      const password = process.env.SIP_PASSWORD;
      const started = await cli.api().post('rest-api/call/startup', {
        ...{ callId: id, callee, toStream: stream },
        ...(to !== undefined && { rtmpUrl: to === '-' ? await standardInput() : to }),
        ...(login && { sipLogin: login, ...(password && { sipPassword: password }) }),
        ...(domain && { sipDomain: domain }),
        ...(video && { hasVideo: true }),
      });
      print(cli.json(), started ?? { callId: id }, () => id);
    });
  call
    .command('list', { isDefault: true })
    .description('calls that are not over')
    .option('--ended', 'those that are over, with their reasons')
    .action(({ ended }) => cli.list(`api/v1/calls${ended ? '?ended=true' : ''}`, COLUMNS, 'calls'));
  call
    .command('stop <id>')
    .description('hang up')
    .action(async (callId) => cli.api().post('rest-api/call/terminate', { callId }));
  call
    .command('dtmf <id> <digits>')
    .description('send keys of a telephone; a comma is a pause of a second')
    .action(async (callId, dtmf) => cli.api().post('rest-api/call/send_dtmf', { callId, dtmf }));
}
