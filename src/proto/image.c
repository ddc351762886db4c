/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pictures (image.h). */
#include "proto/image.h"

#include "base/str.h"
#include "proto/crc32.h"

#define PIXEL 4u
#define STORED_MAX 65535u /* bytes of a block of deflate that is not compressed */
#define ADLER 65521u

/* Digits up to the byte that ends them, which is taken too. */
static bool number(struct rd *r, uint8_t end, uint32_t *ret)
{
	struct rd digits = rd_until(r, end);
	size_t n = rd_left(&digits);

	*ret = 0;
	if (!rd_ok(r) || n == 0 || n > 5)
		return false;
	while (rd_left(&digits)) {
		uint8_t c = rd_u8(&digits);

		if (c < '0' || c > '9')
			return false;
		*ret = *ret * 10 + (c - '0');
	}
	return *ret >= 1 && *ret <= IMAGE_SIDE_MAX;
}

int image_parse(struct rd answer, struct image *ret)
{
	if (!number(&answer, ' ', &ret->w) || !number(&answer, '\n', &ret->h) || rd_left(&answer) != (size_t)ret->w * ret->h * PIXEL)
		return -EBADMSG;
	ret->pixels = answer;
	return 0;
}

/* The mean of a square of pixels, each with the weight of its opacity, in the order of bytes that they have. */
static void put_mean(struct wr *w, const struct image *im, uint32_t x0, uint32_t y0, uint32_t step)
{
	uint64_t sum[4] = { 0 };
	uint32_t n = 0;

	for (uint32_t y = y0; y < MIN(y0 + step, im->h); y++) {
		struct rd row = im->pixels;

		rd_skip(&row, ((size_t)y * im->w + x0) * PIXEL);
		for (uint32_t x = x0; x < MIN(x0 + step, im->w); x++, n++) {
			uint8_t v[PIXEL];

			rd_bytes(&row, v, sizeof v);
			for (unsigned i = 0; i < 3; i++)
				sum[i] += (uint64_t)v[i] * v[3];
			sum[3] += v[3];
		}
	}
	for (unsigned i = 0; i < 3; i++)
		wr_u8(w, (uint8_t)(sum[3] ? sum[i] / sum[3] : 0));
	wr_u8(w, (uint8_t)(n ? sum[3] / n : 0));
}

static uint32_t step_for(const struct image *im, uint32_t side)
{
	return (MAX(im->w, im->h) + side - 1) / side;
}

void image_small(struct wr *w, const struct image *im, uint32_t side, uint32_t *ret_w, uint32_t *ret_h)
{
	uint32_t step = step_for(im, side);

	*ret_w = (im->w + step - 1) / step;
	*ret_h = (im->h + step - 1) / step;
	for (uint32_t y = 0; y < *ret_h; y++)
		for (uint32_t x = 0; x < *ret_w; x++)
			put_mean(w, im, x * step, y * step, step);
}

void image_put(struct wr *w, const struct image *im, uint32_t side)
{
	uint32_t step = step_for(im, side), width, height;

	wr_printf(w, "%u %u\n", (im->w + step - 1) / step, (im->h + step - 1) / step);
	image_small(w, im, side, &width, &height);
}

/* HSL in integers: a colour is lightness +- chroma / 2, and each channel has its place between the two ends. */
uint32_t image_tint(uint32_t pixel, uint32_t colour)
{
	int32_t c[3], top = 0, low = 255, p_top = 0, p_low = 255, light2, saturation_of, chroma;
	uint32_t ret = pixel >> 24;

	for (int i = 0; i < 3; i++) {
		int32_t p = (int32_t)(pixel >> (16 - 8 * i) & 255);

		c[i] = (int32_t)(colour >> (16 - 8 * i) & 255);
		top = MAX(top, c[i]);
		low = MIN(low, c[i]);
		p_top = MAX(p_top, p);
		p_low = MIN(p_low, p);
	}
	light2 = p_top + p_low;
	saturation_of = 255 - abs(top + low - 255);
	/* the pixel's lightness with the saturation of the colour */
	chroma = saturation_of ? (255 - abs(light2 - 255)) * (top - low) / saturation_of : 0;
	for (int i = 0; i < 3; i++) {
		int32_t at = top > low ? (c[i] - low) * chroma / (top - low) : 0, v = (light2 - chroma) / 2 + at;

		ret = ret << 8 | (uint32_t)(v < 0 ? 0 : MIN(v, 255));
	}
	return ret;
}

/* --- PNG ---------------------------------------------------------------------------------------------------------------- */

static void chunk(struct wr *w, const char type[4], const struct wr *data)
{
	uint32_t crc = crc32_update(0, type, 4);

	if (data->len)
		crc = crc32_update(crc, data->buf, data->len);
	wr_u32be(w, (uint32_t)data->len);
	wr_bytes(w, type, 4);
	if (data->len)
		wr_bytes(w, data->buf, data->len);
	wr_u32be(w, crc);
}

/* zlib's format with blocks that are not compressed: icons are small, and a compressor is more than it takes here. */
static void stored(struct wr *w, const struct wr *raw)
{
	uint32_t a = 1, b = 0;

	wr_u8(w, 0x78);
	wr_u8(w, 0x01);
	for (size_t at = 0; at < raw->len; at += STORED_MAX) {
		uint16_t n = (uint16_t)MIN(raw->len - at, (size_t)STORED_MAX);

		wr_u8(w, at + n == raw->len);
		wr_u16le(w, n);
		wr_u16le(w, (uint16_t)~n);
		wr_bytes(w, raw->buf + at, n);
	}
	for (size_t i = 0; i < raw->len; i++) {
		a = (a + raw->buf[i]) % ADLER;
		b = (b + a) % ADLER;
	}
	wr_u32be(w, b << 16 | a);
}

static void png(struct wr *w, uint32_t width, uint32_t height, const struct wr *raw)
{
	_cleanup_wr_ struct wr head = wr_grow(64), data = wr_grow(raw->len + raw->len / STORED_MAX * 8 + 64);
	const struct wr none = { .len = 0 };

	wr_bytes(w, "\x89PNG\r\n\x1a\n", 8);
	wr_u32be(&head, width);
	wr_u32be(&head, height);
	wr_bytes(&head, "\x08\x06\0\0\0", 5); /* 8 bits, red green blue opacity */
	chunk(w, "IHDR", &head);
	stored(&data, raw);
	if (!wr_ok(&data) || !wr_ok(raw))
		wr_fail(w);
	chunk(w, "IDAT", &data);
	chunk(w, "IEND", &none);
}

static void put_pixel(struct wr *w, uint32_t pixel)
{
	wr_u8(w, (uint8_t)(pixel >> 16));
	wr_u8(w, (uint8_t)(pixel >> 8));
	wr_u8(w, (uint8_t)pixel);
	wr_u8(w, (uint8_t)(pixel >> 24));
}

void image_png(struct wr *w, const struct image *im, uint32_t colour)
{
	_cleanup_wr_ struct wr raw = wr_grow(((size_t)im->w * PIXEL + 1) * im->h);
	struct rd r = im->pixels;

	for (uint32_t y = 0; y < im->h; y++) {
		wr_u8(&raw, 0); /* no filter */
		for (uint32_t x = 0; x < im->w; x++) {
			uint8_t v[PIXEL] = { 0 };

			rd_bytes(&r, v, sizeof v);
			put_pixel(&raw, image_tint((uint32_t)v[3] << 24 | (uint32_t)v[0] << 16 | (uint32_t)v[1] << 8 | v[2], colour));
		}
	}
	png(w, im->w, im->h, &raw);
}

void image_tile(struct wr *w, uint32_t side, uint32_t colour)
{
	_cleanup_wr_ struct wr raw = wr_grow(((size_t)side * PIXEL + 1) * side);
	uint32_t rim = side / 12 + 1, dark = (colour >> 1) & 0x7f7f7f;

	for (uint32_t y = 0; y < side; y++) {
		wr_u8(&raw, 0);
		for (uint32_t x = 0; x < side; x++)
			put_pixel(&raw, 0xff000000 | (x < rim || y < rim || x >= side - rim || y >= side - rim ? dark : colour));
	}
	png(w, side, side, &raw);
}
