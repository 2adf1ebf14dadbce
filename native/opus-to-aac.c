/*
 * Opus to AAC for several streams at once: does what an ffmpeg for each stream does, with a third of the processor time and an eighth of the memory. libavcodec
 * decodes; the encoder is our own (aac-encoder.h). src/renditions/shared-encoder.ts talks to it, and works without it where it was not built.
 *
 * Reads messages from standard input and writes frames to standard output; numbers are little endian:
 *
 *   in   kind u8 ('O', 'P', 'C', 'H')   channels u8   line u16   length u16   value u16   then `length` bytes
 *   out  line u16   length u16   then `length` bytes of one raw AAC frame
 *
 * A line is the encoder of one stream. 'O' opens it, with `channels` (1 or 2) and `value` kbit/s; 'P' is an Opus packet of `value` samples at 48 kHz; 'C' closes
 * the line; 'H' is a heartbeat. Two lengths have no bytes after them: 0 answers a heartbeat, and 0xffff says that the process dies while it works on that line.
 *
 * The first frame of a line is the silence that AAC begins with. A packet that cannot be decoded becomes silence of its length, so that counted samples stay
 * right. All output that belongs to one read is written at once. The process ends with its input, and when its output is closed.
 */
#include "aac-encoder.h"
#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
#include <libavutil/frame.h>
#include <libavutil/log.h>
#include <libavutil/version.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if LIBAVUTIL_VERSION_INT < AV_VERSION_INT(57, 24, 100)
#error "FFmpeg 5.1 or later is needed"
#endif

enum { SAMPLE_RATE = 48000, CHANNELS = 2, LINES = 65536, HEADER_BYTES = 8, FRAME_HEADER_BYTES = 4, READ_BYTES = 65536, LOUDEST = 4 };
enum { HEARTBEAT_ANSWER = 0, DYING = 0xffff, NO_LINE = -1 };

struct line {
  AVCodecContext *decoder;
  struct aac_encoder *encoder;
  int channels;
  /* The next frame for the encoder, and the number of its samples that are there. */
  float collected[CHANNELS][AAC_FRAME_SAMPLES];
  int samples;
};

static struct line *lines[LINES];
static AVPacket *packet;
static AVFrame *decoded;

static uint8_t *output;
static size_t output_length, output_capacity;

/* The line whose message is being dealt with. */
static volatile sig_atomic_t current_line = NO_LINE;

static unsigned read_u16(const uint8_t *bytes) { return bytes[0] | bytes[1] << 8; }

static void write_u16(uint8_t *bytes, unsigned value) {
  bytes[0] = value & 0xff;
  bytes[1] = value >> 8 & 0xff;
}

/*
 * Says which line the process dies of. Output that was collected is lost; nothing is written while a line is current, so the reader is between two frames. Calls
 * only what a signal handler may call.
 */
static void tell_cause(void) {
  if (current_line == NO_LINE) return;
  uint8_t header[FRAME_HEADER_BYTES];
  write_u16(header, current_line);
  write_u16(header + 2, DYING);
  ssize_t ignored = write(STDOUT_FILENO, header, sizeof header);
  (void)ignored;
}

static void die(int number) {
  tell_cause();
  signal(number, SIG_DFL);
  raise(number);
}

static void fail(const char *what) {
  tell_cause();
  fprintf(stderr, "opus-to-aac: %s\n", what);
  exit(1);
}

static void close_line(unsigned number) {
  struct line *line = lines[number];
  if (!line) return;
  avcodec_free_context(&line->decoder);
  aac_encoder_close(line->encoder);
  free(line);
  lines[number] = NULL;
}

static void open_line(unsigned number, int channels, int kbps) {
  const AVCodec *opus = avcodec_find_decoder_by_name("opus");
  if (!opus) fail("this libavcodec has no Opus decoder");
  if (channels < 1 || channels > 2) fail("a line must have one or two channels");
  close_line(number);
  struct line *line = calloc(1, sizeof *line);
  if (!line) fail("out of memory");
  lines[number] = line;
  line->decoder = avcodec_alloc_context3(opus);
  line->encoder = aac_encoder_open(channels, kbps * 1000);
  line->channels = channels;
  if (!line->decoder || !line->encoder) fail("out of memory");

  line->decoder->thread_count = 1;
  line->decoder->sample_rate = SAMPLE_RATE;
  av_channel_layout_default(&line->decoder->ch_layout, channels);
  if (avcodec_open2(line->decoder, opus, NULL) < 0) fail("cannot open the decoder");
}

static void reserve_output(size_t length) {
  if (output_length + length <= output_capacity) return;
  output_capacity = 2 * (output_length + length);
  output = realloc(output, output_capacity);
  if (!output) fail("out of memory");
}

static void encode(unsigned number, struct line *line) {
  reserve_output(FRAME_HEADER_BYTES + AAC_MAX_FRAME_BYTES);
  const float *const samples[CHANNELS] = {line->collected[0], line->collected[1]};
  int length = aac_encoder_encode(line->encoder, samples, output + output_length + FRAME_HEADER_BYTES);
  if (length == 0) return;
  write_u16(output + output_length, number);
  write_u16(output + output_length + 2, length);
  output_length += FRAME_HEADER_BYTES + length;
}

static void answer_heartbeat(void) {
  reserve_output(FRAME_HEADER_BYTES);
  write_u16(output + output_length, 0);
  write_u16(output + output_length + 2, HEARTBEAT_ANSWER);
  output_length += FRAME_HEADER_BYTES;
}

/*
 * Decoded Opus may exceed full scale, and a player may turn it down again. Damaged packets of two channels make a decoder for one channel return samples that are
 * 100,000 times too loud.
 */
static float limit(float sample) {
  if (sample >= -LOUDEST && sample <= LOUDEST) return sample;
  return sample > LOUDEST ? LOUDEST : sample < -LOUDEST ? -LOUDEST : 0; /* 0: not a number */
}

/* Collects samples of each channel (silence if `planes` is NULL), and encodes each full frame. */
static void collect(unsigned number, struct line *line, uint8_t *const *planes, int samples) {
  for (int taken = 0; taken < samples;) {
    int count = AAC_FRAME_SAMPLES - line->samples;
    if (count > samples - taken) count = samples - taken;
    for (int channel = 0; channel < line->channels; channel++) {
      float *to = line->collected[channel] + line->samples;
      const float *from = planes ? (const float *)planes[channel] + taken : NULL;
      for (int i = 0; i < count; i++) to[i] = from ? limit(from[i]) : 0;
    }
    taken += count;
    line->samples += count;
    if (line->samples < AAC_FRAME_SAMPLES) continue;
    encode(number, line);
    line->samples = 0;
  }
}

static int is_expected(const AVFrame *frame, const struct line *line) {
  return frame->format == AV_SAMPLE_FMT_FLTP && frame->sample_rate == SAMPLE_RATE && frame->ch_layout.nb_channels == line->channels;
}

static void take_packet(unsigned number, uint8_t *bytes, int length, int samples) {
  struct line *line = lines[number];
  if (!line) return;
  packet->data = bytes;
  packet->size = length;
  int is_decoded = 0;
  /* An empty packet would mean the end of the stream. */
  if (length > 0 && avcodec_send_packet(line->decoder, packet) >= 0) {
    while (avcodec_receive_frame(line->decoder, decoded) >= 0) {
      collect(number, line, is_expected(decoded, line) ? decoded->extended_data : NULL, decoded->nb_samples);
      av_frame_unref(decoded);
      is_decoded = 1;
    }
  }
  if (!is_decoded) collect(number, line, NULL, samples);
}

static void take_message(uint8_t *message) {
  unsigned number = read_u16(message + 2), length = read_u16(message + 4), value = read_u16(message + 6);
  current_line = number;
  switch (message[0]) {
    case 'O': open_line(number, message[1], value); break;
    case 'P': take_packet(number, message + HEADER_BYTES, length, value); break;
    case 'C': close_line(number); break;
    case 'H': answer_heartbeat(); break;
    default: fail("unknown kind of message");
  }
  current_line = NO_LINE;
}

static void write_output(void) {
  for (size_t written = 0; written < output_length;) {
    ssize_t count = write(STDOUT_FILENO, output + written, output_length - written);
    if (count < 0 && errno != EINTR) exit(0);
    if (count > 0) written += count;
  }
  output_length = 0;
}

int main(void) {
  /* The longest message, what was read with it, and what decoders may read beyond the end of a packet. */
  static uint8_t input[HEADER_BYTES + UINT16_MAX + READ_BYTES + AV_INPUT_BUFFER_PADDING_SIZE];
  size_t have = 0;
  /* Ctrl-C in a terminal reaches the whole group; the gateway ends this process when its streams have ended. */
  signal(SIGINT, SIG_IGN);
  /* Crashes, and the gateway's SIGABRT when the process does not answer. */
  const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
  for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) signal(deadly[i], die);
  av_log_set_level(AV_LOG_QUIET);
  packet = av_packet_alloc();
  decoded = av_frame_alloc();
  if (!packet || !decoded) fail("out of memory");
  for (;;) {
    ssize_t count = read(STDIN_FILENO, input + have, READ_BYTES);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return 0;
    have += count;
    size_t taken = 0;
    while (have - taken >= HEADER_BYTES) {
      size_t length = HEADER_BYTES + read_u16(input + taken + 4);
      if (have - taken < length) break;
      take_message(input + taken);
      taken += length;
    }
    memmove(input, input + taken, have - taken);
    have -= taken;
    write_output();
  }
}
