// What a test changes of a peer connection, done around the browser's API so that the Web SDK stays as it is.
'use strict';

const hooks = {
  /** Port that media is sent to instead of the gateway's: that of a relay which loses or delays packets. */
  mediaPort: undefined,
  /** Every peer connection of the page, the latest last. */
  connections: [],
};

{
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...args) {
      super(...args);
      hooks.connections.push(this);
    }

    setRemoteDescription(description, ...rest) {
      if (!hooks.mediaPort || !description?.sdp) return super.setRemoteDescription(description, ...rest);
      const lines = description.sdp
        .split('\r\n')
        .filter((line) => !/^a=candidate:\S+ \d+ tcp /i.test(line))
        .map((line) => line.replace(/^(a=candidate:\S+ \d+ udp \d+ )\S+ \d+/i, `$1127.0.0.1 ${hooks.mediaPort}`));
      return super.setRemoteDescription({ type: description.type, sdp: lines.join('\r\n') }, ...rest);
    }
  };
}
