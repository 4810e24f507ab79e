import type { Summaries } from '../report.js';
import type { LinePlot } from './plot.js';
import type { Picture } from './svg.js';

const [WIDTH, HEIGHT] = [640, 420];
const COLOURS = ['#1f6feb', '#d4762c', '#3f9a5a', '#8250df'];

/** Undefined where none of its metrics was measured. */
export function linePicture(
  plot: LinePlot,
  peers: readonly string[],
  results: Summaries,
): Picture | undefined {
  const lines = peers.flatMap((peer) => {
    // A logarithmic axis has no room for what the noise of a heap made less than nothing.
    const data = plot.points.flatMap(({ x, metric }) => {
      const median = results[metric]?.[peer]?.median ?? 0;
      return median > 0 ? [[x, median]] : [];
    });
    return data.length === 0 ? [] : [{ type: 'line', name: peer, data, symbolSize: 7 }];
  });
  if (lines.length === 0) return undefined;
  const axis = { type: 'log', nameLocation: 'middle', nameGap: 34 };
  return {
    width: WIDTH,
    height: HEIGHT,
    option: {
      color: COLOURS,
      title: { text: plot.title, left: 12, top: 12, textStyle: { fontSize: 18 } },
      legend: { top: 44, left: 12 },
      grid: { left: 80, right: 30, top: 84, bottom: 60 },
      xAxis: { ...axis, name: plot.xLabel },
      yAxis: { ...axis, name: plot.yLabel, nameGap: 56 },
      series: lines,
    },
  };
}
