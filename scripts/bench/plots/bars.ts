/** Panels of bars: medians, with the lowest and the highest sample as a whisker. */
import type { CustomSeriesRenderItemAPI } from 'echarts';
import type { Metric } from '../measure/measurement.js';
import { type Summaries, figure } from '../report.js';
import type { Summary } from '../stats.js';
import type { BarPlot } from './plot.js';
import type { Picture } from './svg.js';

const COLUMNS = 2;
const WIDTH = 960;
const HEADING = 56;
const PANEL_HEADING = 34;
const BAR = 26;
const NAMES_WIDTH = 130;
/** For the figure behind the longest bar. */
const FIGURE_WIDTH = 70;
const WHISKER_HALF = 5;
const SUBJECT_COLOUR = '#1f6feb';
const PEER_COLOUR = '#a8b3c1';

interface Panel {
  readonly metric: Metric;
  readonly bars: readonly { readonly peer: string; readonly summary: Summary }[];
}

/** Undefined where none of its metrics was measured. */
export function barPicture(
  plot: BarPlot,
  metrics: readonly Metric[],
  peers: readonly string[],
  results: Summaries,
  subject: string,
): Picture | undefined {
  const panels = plot.bars.flatMap((id): Panel[] => {
    const metric = metrics.find((one) => one.id === id);
    const bars = peers.flatMap((peer) => {
      const summary = results[id]?.[peer];
      return summary === undefined ? [] : [{ peer, summary }];
    });
    return metric === undefined || bars.length === 0 ? [] : [{ metric, bars }];
  });
  if (panels.length === 0) return undefined;
  const panelHeight = PANEL_HEADING + BAR * peers.length;
  const columnWidth = WIDTH / Math.min(COLUMNS, panels.length);
  const places = panels.map((_, index) => ({
    left: (index % COLUMNS) * columnWidth,
    top: HEADING + Math.floor(index / COLUMNS) * panelHeight,
  }));
  return {
    width: WIDTH,
    height: HEADING + Math.ceil(panels.length / COLUMNS) * panelHeight,
    option: {
      title: [
        { text: plot.title, left: 12, top: 12, textStyle: { fontSize: 18 } },
        ...panels.map(({ metric }, index) => ({
          text: headingOf(metric),
          left: (places[index]?.left ?? 0) + 12,
          top: places[index]?.top ?? 0,
          textStyle: { fontSize: 13 },
        })),
      ],
      grid: panels.map(({ bars }, index) => ({
        left: (places[index]?.left ?? 0) + NAMES_WIDTH,
        top: (places[index]?.top ?? 0) + PANEL_HEADING - 8,
        width: columnWidth - NAMES_WIDTH - FIGURE_WIDTH,
        height: BAR * bars.length,
      })),
      xAxis: panels.map((_, gridIndex) => ({ type: 'value', gridIndex, show: false, min: 0 })),
      yAxis: panels.map(({ bars }, gridIndex) => ({
        type: 'category',
        gridIndex,
        inverse: true,
        data: bars.map(({ peer }) => peer),
        axisTick: { show: false },
        axisLabel: { color: '#333' },
      })),
      series: panels.flatMap((panel, index) => seriesOf(panel, index, subject)),
    },
  };
}

function headingOf({ label, unit = '', better }: Metric): string {
  return `${label}, ${unit}${better === undefined ? '' : ` (${better} is better)`}`;
}

function seriesOf({ bars }: Panel, index: number, subject: string): object[] {
  const axes = { xAxisIndex: index, yAxisIndex: index };
  return [
    {
      type: 'bar',
      ...axes,
      barCategoryGap: '38%',
      data: bars.map(({ peer, summary }) => ({
        value: summary.median,
        itemStyle: { color: peer === subject ? SUBJECT_COLOUR : PEER_COLOUR },
      })),
    },
    {
      type: 'custom',
      ...axes,
      data: bars.map(({ summary }, row) => [summary.min, summary.max, row, summary.median]),
      encode: { x: [0, 1], y: 2 },
      renderItem: (_: unknown, api: CustomSeriesRenderItemAPI) => whisker(api),
    },
  ];
}

/** From the lowest to the highest sample, and the median's figure behind it. */
function whisker(api: CustomSeriesRenderItemAPI): object {
  const [min, max, row, median] = [0, 1, 2, 3].map((dimension) => Number(api.value(dimension)));
  const [left = 0, y = 0] = api.coord([min ?? 0, row ?? 0]);
  const [right = 0] = api.coord([max ?? 0, row ?? 0]);
  const text = {
    text: figure(median ?? 0),
    x: right + 6,
    y,
    verticalAlign: 'middle',
    fontSize: 12,
  };
  return {
    type: 'group',
    children: [
      ...(min === max
        ? []
        : [
            line(left, y, right, y),
            line(left, y - WHISKER_HALF, left, y + WHISKER_HALF),
            line(right, y - WHISKER_HALF, right, y + WHISKER_HALF),
          ]),
      { type: 'text', style: { fill: '#333', ...text } },
    ],
  };
}

function line(x1: number, y1: number, x2: number, y2: number): object {
  return { type: 'line', shape: { x1, y1, x2, y2 }, style: { stroke: '#333' } };
}
