/*
 * Opus to AAC for several streams at once, by libavcodec: what an ffmpeg for each stream does (src/ffmpeg/ffmpeg-args.ts has the same options), for less
 * processor time and an eighth of the memory. src/encode/shared-encoder.ts talks to it, and does without it where it was not built.
 *
 * It reads messages from standard input and writes frames to standard output, numbers in little endian:
 *
 *   in   kind u8 ('O', 'P', 'C')   channels u8   line u16   length u16   value u16   then `length` bytes
 *   out  line u16   length u16   then `length` bytes of one raw AAC frame
 *
 * A line is one stream's encoder. 'O' opens it, with `channels` (1 or 2) and `value` kbit/s; 'P' is an Opus packet of `value` samples at 48 kHz; 'C' closes
 * the line. The first frame of a line is the silence that AAC begins with. A packet that cannot be decoded becomes silence of its length, so that whoever counts
 * samples stays right. What was read at once is answered at once. It ends with its input, and when nobody reads what it writes.
 */
#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
#include <libavutil/dict.h>
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

enum { SAMPLE_RATE = 48000, FRAME_SAMPLES = 1024, LINES = 65536, HEADER_BYTES = 8, FRAME_HEADER_BYTES = 4, READ_BYTES = 65536 };

struct line {
  AVCodecContext *decoder;
  AVCodecContext *encoder;
  /* What the encoder gets next, and how many samples of it are there. */
  AVFrame *collected;
  int samples;
};

static struct line *lines[LINES];
static AVPacket *packet, *encoded;
static AVFrame *decoded;

static uint8_t *output;
static size_t output_length, output_capacity;

static void fail(const char *what) {
  fprintf(stderr, "opus-to-aac: %s\n", what);
  exit(1);
}

static unsigned read_u16(const uint8_t *bytes) { return bytes[0] | bytes[1] << 8; }

static void write_u16(uint8_t *bytes, unsigned value) {
  bytes[0] = value & 0xff;
  bytes[1] = value >> 8 & 0xff;
}

static void close_line(unsigned number) {
  struct line *line = lines[number];
  if (!line) return;
  avcodec_free_context(&line->decoder);
  avcodec_free_context(&line->encoder);
  av_frame_free(&line->collected);
  free(line);
  lines[number] = NULL;
}

static void open_line(unsigned number, int channels, int kbps) {
  const AVCodec *opus = avcodec_find_decoder_by_name("opus");
  const AVCodec *aac = avcodec_find_encoder_by_name("aac");
  if (!opus || !aac) fail("this libavcodec lacks its opus decoder or its aac encoder");
  if (channels < 1 || channels > 2) fail("a line has one channel or two");
  close_line(number);
  struct line *line = calloc(1, sizeof *line);
  if (!line) fail("out of memory");
  lines[number] = line;
  line->decoder = avcodec_alloc_context3(opus);
  line->encoder = avcodec_alloc_context3(aac);
  line->collected = av_frame_alloc();
  if (!line->decoder || !line->encoder || !line->collected) fail("out of memory");

  line->decoder->thread_count = 1;
  line->decoder->sample_rate = SAMPLE_RATE;
  av_channel_layout_default(&line->decoder->ch_layout, channels);
  if (avcodec_open2(line->decoder, opus, NULL) < 0) fail("the decoder does not open");

  line->encoder->thread_count = 1;
  line->encoder->sample_rate = SAMPLE_RATE;
  line->encoder->sample_fmt = AV_SAMPLE_FMT_FLTP;
  line->encoder->bit_rate = kbps * 1000;
  av_channel_layout_default(&line->encoder->ch_layout, channels);
  AVDictionary *options = NULL;
  av_dict_set(&options, "aac_coder", "fast", 0);
  av_dict_set(&options, "aac_pns", "0", 0);
  av_dict_set(&options, "aac_is", "0", 0);
  av_dict_set(&options, "aac_tns", "0", 0);
  if (avcodec_open2(line->encoder, aac, &options) < 0 || line->encoder->frame_size != FRAME_SAMPLES) fail("the encoder does not open");
  av_dict_free(&options);

  line->collected->nb_samples = FRAME_SAMPLES;
  line->collected->format = AV_SAMPLE_FMT_FLTP;
  line->collected->sample_rate = SAMPLE_RATE;
  av_channel_layout_default(&line->collected->ch_layout, channels);
  if (av_frame_get_buffer(line->collected, 0) < 0) fail("out of memory");
}

static void put_frame(unsigned number, const AVPacket *frame) {
  size_t length = output_length + FRAME_HEADER_BYTES + frame->size;
  /* A frame of two channels has 1536 bytes at most (ISO/IEC 14496-3). */
  if (frame->size > UINT16_MAX) fail("a frame is too long");
  if (length > output_capacity) {
    output_capacity = 2 * length;
    output = realloc(output, output_capacity);
    if (!output) fail("out of memory");
  }
  write_u16(output + output_length, number);
  write_u16(output + output_length + 2, frame->size);
  memcpy(output + output_length + FRAME_HEADER_BYTES, frame->data, frame->size);
  output_length = length;
}

static void encode(unsigned number, struct line *line) {
  if (avcodec_send_frame(line->encoder, line->collected) < 0) fail("the encoder takes no more");
  while (avcodec_receive_packet(line->encoder, encoded) >= 0) {
    put_frame(number, encoded);
    av_packet_unref(encoded);
  }
}

/*
 * The AAC encoder of libavcodec 59 never ends with sound that is 100,000 times too loud. Wrong packets of two channels make such sound of a decoder that expects
 * one; the gateway opens another line for them, but nothing here is to depend on that.
 */
static float limit(float sample) {
  if (sample >= -1 && sample <= 1) return sample;
  return sample > 1 ? 1 : sample < -1 ? -1 : 0; /* the last one is no number */
}

/* Collects samples of each channel, silence without `planes`, and encodes each frame that is full. */
static void collect(unsigned number, struct line *line, uint8_t *const *planes, int samples) {
  int channels = line->encoder->ch_layout.nb_channels;
  for (int taken = 0; taken < samples;) {
    int count = FRAME_SAMPLES - line->samples;
    if (count > samples - taken) count = samples - taken;
    if (line->samples == 0 && av_frame_make_writable(line->collected) < 0) fail("out of memory");
    for (int channel = 0; channel < channels; channel++) {
      float *to = (float *)line->collected->data[channel] + line->samples;
      const float *from = planes ? (const float *)planes[channel] + taken : NULL;
      for (int i = 0; i < count; i++) to[i] = from ? limit(from[i]) : 0;
    }
    taken += count;
    line->samples += count;
    if (line->samples < FRAME_SAMPLES) continue;
    encode(number, line);
    line->samples = 0;
  }
}

static int is_expected(const AVFrame *frame, const struct line *line) {
  return frame->format == AV_SAMPLE_FMT_FLTP && frame->sample_rate == SAMPLE_RATE && frame->ch_layout.nb_channels == line->encoder->ch_layout.nb_channels;
}

static void take_packet(unsigned number, uint8_t *bytes, int length, int samples) {
  struct line *line = lines[number];
  if (!line) return;
  packet->data = bytes;
  packet->size = length;
  int is_decoded = 0;
  /* An empty packet would tell the decoder that nothing more comes. */
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
  switch (message[0]) {
    case 'O': open_line(number, message[1], value); break;
    case 'P': take_packet(number, message + HEADER_BYTES, length, value); break;
    case 'C': close_line(number); break;
    default: fail("a message of no kind that is known");
  }
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
  /* The longest message, what may have come after it, and what decoders may read beyond the end of a packet. */
  static uint8_t input[HEADER_BYTES + UINT16_MAX + READ_BYTES + AV_INPUT_BUFFER_PADDING_SIZE];
  size_t have = 0;
  /* Ctrl-C in a terminal reaches the whole group; the gateway ends this process when its streams have ended. */
  signal(SIGINT, SIG_IGN);
  av_log_set_level(AV_LOG_QUIET);
  packet = av_packet_alloc();
  encoded = av_packet_alloc();
  decoded = av_frame_alloc();
  if (!packet || !encoded || !decoded) fail("out of memory");
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
