// Functions that tests call in a page of the official Room API. It plays what others publish, in elements of their names.
'use strict';

const { SESSION_STATUS, STREAM_STATUS } = RoomApi.sdk.constants;

const roomPage = {
  room: undefined,
  /** What the room has told, in order: `JOINED ann`. */
  told: [],

  join(urlServer, username, name) {
    void RoomApi.sdk.init();
    return new Promise((resolve) => {
      const tell = (event) => (member) => void roomPage.told.push(`${event} ${member.name()}`);
      RoomApi.connect({ urlServer, username }).on(SESSION_STATUS.ESTABLISHED, (session) => {
        roomPage.room = session
          .join({ name })
          .on('STATE', (room) => resolve(tell('STATE')(room)))
          .on('JOINED', tell('JOINED'))
          .on('LEFT', tell('LEFT'))
          .on('PUBLISHED', (member) => {
            tell('PUBLISHED')(member);
            for (const stream of member.getStreams()) stream.play(roomPage.display(member.name()));
          });
      });
    });
  },

  /** Resolves when the stream is live; its end is told as FAILED. Asks again while the gateway is overloaded. */
  async publish() {
    const constraints = { audio: true, video: { width: 320, height: 240 } };
    for (let tries = 0; ; tries++) {
      let live = false;
      const answer = await new Promise((resolve) => {
        roomPage.room
          .publish({ display: roomPage.display('own'), constraints })
          .on(STREAM_STATUS.PUBLISHING, (stream) => {
            live = true;
            resolve(stream.name());
          })
          .on(STREAM_STATUS.FAILED, (stream) => {
            if (live) roomPage.told.push('FAILED');
            resolve(String(stream.getInfo()));
          });
      });
      if (live) return answer;
      if (tries === 30 || !answer.includes('is overloaded')) throw new Error(answer);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  },

  display(id) {
    const known = document.getElementById(id);
    if (known) return known;
    const made = document.createElement('div');
    made.id = id;
    return document.body.appendChild(made);
  },
};
